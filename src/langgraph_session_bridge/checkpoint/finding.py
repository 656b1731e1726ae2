"""Finding a checkpoint of a thread's newest line: by turn, or by the message that arrived with it.

Stored documents are looked at, not values: each element of a list is decoded once, however many checkpoints hold it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from langgraph_session_bridge.checkpoint.codec import Loader, decode_values, decode_writes, lost
from langgraph_session_bridge.checkpoint.lines import ROLLED_BACK_SOURCE
from langgraph_session_bridge.storage.pipeline import Pipeline
from langgraph_session_bridge.storage.pool import Snapshot
from langgraph_session_bridge.storage.runs import unpack

_ROOT = "__root__"
_PAGE = 200

Main = Mapping[str, Any]


async def newest_line(pipeline: Pipeline, thread_id: str) -> list[Main]:
    """The newest checkpoint of the graph itself and its ancestors, newest first, once all of it is archived."""
    await pipeline.flush_thread(thread_id)
    generation = await pipeline.reader.generation(thread_id)
    head = await pipeline.archive.head(thread_id, generation, "")
    if head is None:
        return []
    return [main async for main in pipeline.reader.ancestors(thread_id, generation, "", head["c"])]


async def ends_of_turns(pipeline: Pipeline, loader: Loader, thread_id: str) -> list[str]:
    """The last checkpoint of each turn, oldest first."""
    ends: list[str] = []
    before: Mapping[str, Any] | None = None
    for main in reversed(await newest_line(pipeline, thread_id)):
        metadata = loader.serde.loads_typed(tuple(main["z"]))
        if _begins_turn(metadata, before):
            ends.append(main["c"])
        else:
            ends[-1] = main["c"]
        before = metadata
    return ends


def _begins_turn(metadata: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool:
    """Whether a checkpoint is the first of a turn; of a run that stores its last one only (`exit`) that is this one."""
    source = metadata.get(ROLLED_BACK_SOURCE) or metadata.get("source")
    if source == "input" or before is None:
        return True
    return bool(source == "loop" and metadata.get("step", 0) > before.get("step", 0) + 1)


async def arrival(pipeline: Pipeline, loader: Loader, thread_id: str, message_id: str, key: str) -> str | None:
    """The earliest checkpoint of the line that holds a message; of a delta channel, the one after it was written."""
    line = await newest_line(pipeline, thread_id)
    generation = await pipeline.reader.generation(thread_id)
    known = _Known(loader, key)
    earliest: str | None = None
    after: Snapshot | None = None
    async for snapshot in _snapshots(pipeline, thread_id, generation, line):
        if message_id in known.held(snapshot):
            earliest = snapshot.document["c"]
        elif after is not None and not known.entries(after) and message_id in known.written(snapshot):
            earliest = after.document["c"]
        after = snapshot
    return earliest


async def _snapshots(
    pipeline: Pipeline, thread_id: str, generation: int, line: Sequence[Main]
) -> AsyncIterator[Snapshot]:
    for at in range(0, len(line), _PAGE):
        for snapshot in await pipeline.reader.snapshots(thread_id, generation, line[at : at + _PAGE]):
            yield snapshot


class _Known:
    """Ids of messages, by where their bytes are."""

    def __init__(self, loader: Loader, key: str) -> None:
        self._loader, self._key = loader, key
        self._elements: dict[tuple[str, int], Any] = {}
        self._parts: dict[str, set[Any]] = {}

    def entries(self, snapshot: Snapshot) -> list[Mapping[str, Any]]:
        """Where the list is in a checkpoint; nothing if it is spread over several."""
        return [entry for entry in snapshot.document["v"] if entry["c"] in (self._key, _ROOT)]

    def held(self, snapshot: Snapshot) -> set[Any]:
        """Ids of the messages that a checkpoint holds."""
        found: set[Any] = set()
        for entry in self.entries(snapshot):
            if "l" in entry and entry["c"] == self._key:
                found.update(self._of_pieces(snapshot, entry))
            elif "o" in entry:
                if entry["o"] not in self._parts:
                    self._parts[entry["o"]] = self._of_value(snapshot, entry)
                found |= self._parts[entry["o"]]
            else:
                found |= self._of_value(snapshot, entry)
        return found

    def _of_pieces(self, snapshot: Snapshot, entry: Mapping[str, Any]) -> Iterator[Any]:
        for piece in unpack(entry["l"]):
            places = [(piece.lineage, position) for position in range(piece.start, piece.stop)]
            if any(place not in self._elements for place in places):
                try:
                    values = self._loader.elements(snapshot.lineages.elements(piece))
                except KeyError as error:
                    raise lost(snapshot.document, self._key) from error
                self._elements.update(zip(places, map(_id, values), strict=True))
            yield from (self._elements[place] for place in places)

    def _of_value(self, snapshot: Snapshot, entry: Mapping[str, Any]) -> set[Any]:
        only = Snapshot(
            generation=snapshot.generation,
            document={**snapshot.document, "v": [entry]},
            parts=snapshot.parts,
            writes=snapshot.writes,
            lineages=snapshot.lineages,
        )
        (value,) = decode_values(self._loader, only).values()
        if entry["c"] == _ROOT and self._key != _ROOT:
            value = value.get(self._key) if isinstance(value, Mapping) else None
        return set(_ids(value))

    def written(self, snapshot: Snapshot) -> set[Any]:
        """Ids of the messages that were written in the step after a checkpoint."""
        written = decode_writes(self._loader, snapshot, {self._key})
        return {each for _, _, value in written for each in _ids(value)}


def _ids(value: Any) -> Iterator[Any]:
    several: Iterable[Any] = value if isinstance(value, (list, tuple)) else [value]
    return map(_id, several)


def _id(message: Any) -> Any:
    return message.get("id") if isinstance(message, Mapping) else getattr(message, "id", None)
