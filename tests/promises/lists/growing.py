"""What the tests of lists share: a thread with a deep copy of all that was put to it, and a look into both tiers."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import bson
from contract.build import ABSENT, at, checkpoint, get, listed, meta, new_id
from contract.compare import shape
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from stores import Tiers

from langgraph_session_bridge.storage import runs

BOTH = ["redis+pymongo", "mongo+pymongo"]
NEVER = {"flush_interval_s": 3600.0, "flush_poll_s": 3600.0}
"""Settings under which nothing is flushed in the background."""


def words(number: int, size: int = 300) -> str:
    """A text of about `size` characters that no other number has."""
    return f"<{number:06}> " + f"word {number} " * (size // 12)


def message(number: int, size: int = 300) -> HumanMessage:
    return HumanMessage(words(number, size), id=f"m{number}")


def messages(start: int, stop: int, size: int = 300) -> list[Any]:
    return [message(number, size) for number in range(start, stop)]


def called(number: int) -> AIMessage:
    """A message with containers in containers."""
    return AIMessage(
        words(number),
        id=f"c{number}",
        tool_calls=[{"name": "search", "args": {"query": [str(number)], "deep": {"n": number}}, "id": f"call{number}"}],
        additional_kwargs={"trace": {"spans": [number]}},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A checkpoint as every reader must find it."""

    id: str
    parent: str
    values: dict[str, Any]
    versions: dict[str, Any]
    writes: list[tuple[str, str, Any]] = field(default_factory=list)


class Story:
    """One thread: puts go to savers, deep copies of them stay here."""

    def __init__(self, thread: str = "t", ns: str = "") -> None:
        self.thread, self.ns = thread, ns
        self.nodes: dict[str, Node] = {}
        self.begun = asyncio.Event()
        self._tasks = 0

    @property
    def head(self) -> str:
        return max(self.nodes, default="")

    def at(self, id: str = "", **configurable: Any) -> Any:
        return at(self.thread, self.ns, id or None, **configurable)

    async def put(
        self,
        saver: Any,
        changes: Mapping[str, Any],
        *,
        parent: str | None = None,
        id: str = "",
        run: str = "",
        **configurable: Any,
    ) -> str:
        """Puts the successor of `parent` (the head by default; empty: none), as a graph does; returns its id."""
        node = self.nodes.get(self.head if parent is None else parent)
        versions = dict(node.versions) if node else {}
        newest = max(versions.values(), default=None)
        new_versions = {channel: saver.get_next_version(newest, None) for channel in changes}
        values = {**(copy.deepcopy(node.values) if node else {}), **changes}
        values = {channel: value for channel, value in values.items() if value is not ABSENT}
        id = id or new_id()
        made = checkpoint(values, {**versions, **new_versions}, id=id)
        kept = Node(
            id=id, parent=node.id if node else "", values=copy.deepcopy(values), versions=made["channel_versions"]
        )
        metadata = meta(step=len(self.nodes), run_id=run or f"run-{id}")
        putting = saver.aput(self.at(kept.parent, **configurable), made, metadata, new_versions)
        self.begun.set()
        await putting
        self.nodes[id] = kept
        return id

    async def write(self, saver: Any, *writes: tuple[str, Any], to: str = "", task: str = "") -> None:
        """Puts pending writes to a checkpoint (the head by default)."""
        self._tasks += 1
        node, task = self.nodes[to or self.head], task or f"task-{self._tasks:04}"
        node.writes.extend((task, channel, copy.deepcopy(value)) for channel, value in writes)
        await saver.aput_writes(self.at(node.id), list(writes), task)

    def forget(self, *ids: str) -> None:
        """What was deleted is not expected any more."""
        for id in ids:
            del self.nodes[id]

    def keep(self, *ids: str) -> None:
        self.nodes = {id: self.nodes[id] for id in ids}

    def copied(self, thread: str) -> Story:
        """The same story in another thread."""
        other = Story(thread, self.ns)
        other.nodes = dict(self.nodes)
        return other

    # Reading

    async def check(self, *savers: Any) -> None:
        """Head, every checkpoint by id, and all by `list` are exact for every saver."""
        for saver in savers:
            await self.check_head(saver)
            await self.check_each(saver)
            await self.check_listed(saver)

    async def check_head(self, saver: Any) -> None:
        exact(await get(saver, self.at()), self.nodes[self.head])

    async def check_each(self, saver: Any, ids: Iterable[str] = ()) -> None:
        for id in list(ids or self.nodes):
            exact(await get(saver, self.at(id)), self.nodes[id])

    async def check_listed(self, saver: Any) -> None:
        found = await listed(saver, self.at())
        assert [one.checkpoint["id"] for one in found] == sorted(self.nodes, reverse=True)
        for one in found:
            exact(one, self.nodes[one.checkpoint["id"]])


def exact(found: Any, node: Node) -> None:
    """A tuple has the content, types and order that were put."""
    same(found.checkpoint["channel_values"], node.values)
    assert found.checkpoint["id"] == node.id
    assert found.checkpoint["channel_versions"] == node.versions
    parent = found.parent_config["configurable"]["checkpoint_id"] if found.parent_config else ""
    assert parent == node.parent
    same(found.pending_writes or [], node.writes)


def same(found: Any, wanted: Any) -> None:
    assert found == wanted, f"found {found!r:.1500}, wanted {wanted!r:.1500}"
    assert shape(found) == shape(wanted), f"found {shape(found)!r:.500}, wanted {shape(wanted)!r:.500}"
    assert orders(found) == orders(wanted), "keys are in another order"


def orders(value: Any) -> Any:
    """The keys of all dictionaries in a value, in order."""
    if isinstance(value, BaseMessage):
        return orders(value.__dict__), orders(value.__pydantic_extra__)
    if isinstance(value, dict):
        return [(key, orders(item)) for key, item in value.items()]
    return [orders(item) for item in value] if isinstance(value, (list, tuple)) else None


def overlaps(slots: Mapping[str, list[tuple[int, int]]]) -> list[str]:
    """Lineages in which two runs hold the same position."""
    pairs = {lineage: itertools.pairwise(runs) for lineage, runs in slots.items()}
    return [lineage for lineage, found in pairs.items() if any(one[1] > other[0] for one, other in found)]


def orphans(tiers: Tiers, thread: str = "t") -> list[str]:
    """Runs of a thread that no checkpoint and no pending write refers to."""
    raw = tiers.raw(thread=thread)
    holders = [bson.decode(found) for name, found in raw.items() if name.startswith(("c/", "w/"))]
    pieces = [piece for holder in holders for piece in runs.pieces_of(holder)]
    stored = {name: runs.run_of(name, bson.decode(found)) for name, found in raw.items() if name.startswith("s/")}
    return [name for name, run in stored.items() if not runs.overlaps(run.piece, pieces)]


def before(
    owner: Any, name: str, happens: Callable[[], Awaitable[Any]], *, when: Callable[..., bool] = lambda *_: True
) -> None:
    """Lets something happen right before the next call (with such arguments), as if this process was slow there."""
    method = getattr(owner, name)

    async def slow(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            delattr(owner, name)
            await happens()
        return await method(*args, **kwargs)

    setattr(owner, name, slow)


async def pipeline_of(saver: Any) -> Any:
    return await saver._runtime.pipeline()


async def tidy(saver: Any) -> None:
    """Flushes, notices what others flushed, and does the chores until there are none."""
    pipeline = await pipeline_of(saver)
    await saver.aflush()
    if pipeline.flusher is not None:
        await pipeline.flusher._look_for_entries()
    for _ in range(50):
        await pipeline.tidier.run_ready()
        if not len(saver._runtime.shared.chores):
            return
    raise AssertionError(f"{len(saver._runtime.shared.chores)} chores were never done")
