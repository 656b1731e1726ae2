"""What leads to a checkpoint: its ancestors, what sub-graphs did for them, and what was pending when it was the newest.

Pure: decided from stored documents alone. A checkpoint of a sub-graph names those of its outer graphs in its metadata
(`parents`), so it belongs to a line of the graph itself, or to none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph.checkpoint.serde.types import INTERRUPT, RESUME

from langgraph_session_bridge.storage.documents import writes_prefix

Main = Mapping[str, Any]
"""A whole checkpoint document."""

ROLLED_BACK_TO, ROLLED_BACK_SOURCE = "rolled_back_to", "rolled_back_source"
"""What the metadata of a checkpoint says that stands for an earlier one: its id, and its `source`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The checkpoints that lead to one.

    Attributes:
        head: The one that they lead to.
        names: Names of their documents, those of sub-graphs included.
        ids: Their ids, and those of checkpoints that they stand for.
        passed: Names of those that the thread went on from, though nothing that came after is on the line: of their
            pending writes, only what was there before is.
    """

    head: str
    names: frozenset[str]
    ids: frozenset[str]
    passed: frozenset[str] = field(default_factory=frozenset)


def line_of(
    mains: Mapping[str, Main],
    checkpoint_id: str,
    metadata: Callable[[Main], Mapping[str, Any]],
    has_interrupt: Callable[[Main], bool],
) -> Line | None:
    """The line of a checkpoint of the graph itself; nothing if there is no such checkpoint.

    Args:
        mains: Checkpoint documents of the thread by name.
        checkpoint_id: Where the line ends.
        metadata: Tells the metadata of a checkpoint.
        has_interrupt: Tells whether something asked a question when a checkpoint was the newest.
    """
    of_graph = {main["c"]: (name, main) for name, main in mains.items() if main["n"] == ""}
    if checkpoint_id not in of_graph:
        return None
    names, ids = _ancestors(of_graph, checkpoint_id, metadata)
    went_on = any(main["p"] == checkpoint_id for _, main in of_graph.values())
    passed = {of_graph[checkpoint_id][0]} if went_on else set()
    under_way: defaultdict[str, list[str]] = defaultdict(list)
    for name, main in mains.items():
        outer = (metadata(main).get("parents") or {}).get("") if main["n"] else None
        if outer == checkpoint_id and went_on:
            under_way[main["n"]].append(name)
        elif outer in ids:
            names.add(name)
    for found in under_way.values():
        asking = max((mains[name]["c"] for name in found if has_interrupt(mains[name])), default="")
        names |= {name for name in found if mains[name]["c"] <= asking}
        passed |= {name for name in found if mains[name]["c"] == asking}
    ids |= {mains[name]["c"] for name in names}
    return Line(head=checkpoint_id, names=frozenset(names), ids=frozenset(ids), passed=frozenset(passed))


def _ancestors(
    of_graph: Mapping[str, tuple[str, Main]], checkpoint_id: str, metadata: Callable[[Main], Mapping[str, Any]]
) -> tuple[set[str], set[str]]:
    names: set[str] = set()
    ids: set[str] = set()
    wanted = checkpoint_id
    while wanted in of_graph and wanted not in ids:
        name, main = of_graph[wanted]
        names.add(name)
        ids |= {wanted, metadata(main).get(ROLLED_BACK_TO, wanted)}
        wanted = main["p"] or ""
    return names, ids


def interrupts(writes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a question is among sets of pending writes."""
    return any(row["c"] == INTERRUPT for document in writes for row in document["w"])


def before_going_on(
    writes: Mapping[str, Mapping[str, Any]],
    load: Callable[[Mapping[str, Any]], Any],
    dump: Callable[[Any], tuple[str, bytes]],
) -> dict[str, Mapping[str, Any]]:
    """What of a checkpoint's pending writes was there before the thread went on from it, by name.

    If nothing asked a question, the step is run anew, so nothing was. Else the questions, the answers but for the last
    one of each task, and what other tasks had finished.

    Args:
        writes: Whole sets of pending writes, by name.
        load: Decodes a row's value.
        dump: Encodes a value.
    """
    asking = {document["a"] for document in writes.values() if interrupts([document])}
    kept: dict[str, Mapping[str, Any]] = {}
    for name, document in writes.items() if asking else ():
        channels = {row["c"] for row in document["w"]}
        if document["a"] not in asking:
            if document["h"]:  # of a task; what has no path is what somebody else put: an answer, an input, an update
                kept[name] = document
        elif channels == {INTERRUPT}:
            kept[name] = document
        elif channels == {RESUME}:
            rows = _without_last(document["w"], load, dump)
            if rows:
                kept[name] = {**document, "w": rows}
    return kept


def _without_last(
    rows: Sequence[Mapping[str, Any]],
    load: Callable[[Mapping[str, Any]], Any],
    dump: Callable[[Any], tuple[str, bytes]],
) -> list[dict[str, Any]]:
    (row,) = rows
    answers = load(row)
    if not isinstance(answers, list) or len(answers) < 2:
        return []
    kind, data = dump(answers[:-1])
    return [{"c": row["c"], "i": row["i"], "y": kind, "d": data}]


def writes_of(main: Main, writes: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Those of a checkpoint among pending writes, by name."""
    prefix = writes_prefix(main["n"], main["c"])
    return {name: document for name, document in writes.items() if name.startswith(prefix)}
