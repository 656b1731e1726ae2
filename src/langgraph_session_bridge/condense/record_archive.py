"""The archive of removed messages on the record store: journaled and flushed like everything else of a thread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.condense.archive import ArchivedMessage, Condensation
from langgraph_session_bridge.errors import DataIntegrityError, ValueTooLargeError
from langgraph_session_bridge.settings import Level
from langgraph_session_bridge.storage.facets import OF_STATE, Facet, StoredRecord
from langgraph_session_bridge.storage.runtime import Runtime

MESSAGE, CONDENSATION = OF_STATE

_CHUNK_BYTES = 3 * 1024 * 1024
_MAX_BYTES = 12 * 1024 * 1024
"""All of a message is one MongoDB document, whose limit is 16 MiB."""
_STEP_BYTES = 4 * 1024 * 1024


class RecordArchive:
    """A `MessageArchive`: messages by id and content, and the record of each condensation.

    By default it returns when MongoDB has everything on a majority, so that what a trimmed checkpoint lacks outlives
    whatever the checkpoint does. Values are serialised by the saver's serde, encrypted if that encrypts.
    """

    def __init__(self, runtime: Runtime, serde: SerializerProtocol, *, level: Level = "majority") -> None:
        """Archives through a saver's pipeline."""
        self._runtime = runtime
        self._serde = serde
        self._level: Level = level
        self.after_keep: Callable[[str, Condensation], None] | None = None
        """Called with thread and condensation once that is kept, each time that it is; must neither wait nor raise."""

    async def keep(self, thread_id: str, messages: Sequence[ArchivedMessage], condensation: Condensation) -> None:
        """Stores removed and replaced messages, then the record of why; the same again changes nothing.

        Raises:
            ValueTooLargeError: A message is over 12 MiB; nothing was stored.
            UnavailableError: No tier took it.
            DurabilityTimeoutError: Journaled, but MongoDB did not confirm in time.
        """
        records = (await self._runtime.pipeline()).records
        facets = [facet for message in messages for facet in self._message(message)]
        for step in _steps([*facets, *self._condensation(condensation)]):
            await records.put(thread_id, step, self._level)
        if self.after_keep is not None:
            self.after_keep(thread_id, condensation)

    def keep_blocking(self, thread_id: str, messages: Sequence[ArchivedMessage], condensation: Condensation) -> None:
        """`keep` for graphs that run without an event loop."""
        self._runtime.run(self.keep(thread_id, messages, condensation), "use `ainvoke`, `astream` and so on")

    def _message(self, archived: ArchivedMessage) -> list[Facet]:
        kind, data = self._serde.dumps_typed(archived.message)
        if len(data) > _MAX_BYTES:
            message = f"Message {archived.id!r} has {len(data):,} bytes; up to {_MAX_BYTES:,} can be archived."
            raise ValueTooLargeError(message)
        value = {"message_id": archived.id, "role": archived.message.type, "y": kind}
        return _in_chunks(MESSAGE, message_key(archived.id, archived.digest), value, bytes(data))

    def _condensation(self, record: Condensation) -> list[Facet]:
        kind, data = self._serde.dumps_typed(record.model_dump(mode="json"))
        value = {
            "condensation": record.id,
            "checkpoint_ns": record.checkpoint_ns,
            "key": record.key,
            "at": record.created_at,
            "strategy": record.strategy,
            "trigger": record.trigger,
            "removed": len(record.removed),
            "replaced": len(record.replaced),
            "tokens_before": record.tokens_before,
            "tokens_after": record.tokens_after,
            "y": kind,
        }
        return _in_chunks(CONDENSATION, condensation_key(record), value, bytes(data))

    # Reading

    async def condensations(
        self, thread_id: str, *, checkpoint_ns: str = "", key: str = "messages"
    ) -> list[Condensation]:
        """The condensations of a list of messages, those of forks included, newest first."""
        records = (await self._runtime.pipeline()).records
        found = records.find(
            thread_id,
            [CONDENSATION],
            query={"f.start.checkpoint_ns": checkpoint_ns, "f.start.key": key},
            keep=lambda record: (record["start"]["checkpoint_ns"], record["start"]["key"]) == (checkpoint_ns, key),
        )
        return [Condensation.model_validate(self._loaded(record)) async for record in found]

    async def messages(self, thread_id: str, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], BaseMessage]:
        """Archived messages by id and digest; absent ones are left out."""
        keys = {message_key(*pair): pair for pair in wanted}
        records = (await self._runtime.pipeline()).records
        found = await records.get(thread_id, [(MESSAGE, name) for name in keys])
        return {keys[record.id]: self._loaded(record) for record in found}

    async def of_line(self, thread_id: str, checkpoints: Collection[str]) -> set[tuple[str, str]]:
        """Kinds and ids of the records of what was condensed on some checkpoints, of any list of the thread.

        What does not tell on which it was is among them.
        """
        records = (await self._runtime.pipeline()).records
        keys: set[tuple[str, str]] = set()
        async for record in records.find(thread_id, [CONDENSATION]):
            done = Condensation.model_validate(self._loaded(record))
            if not done.checkpoint_id or done.checkpoint_id in checkpoints:
                keys.add((CONDENSATION, record.id))
                keys |= {(MESSAGE, message_key(*pair)) for pair in (*done.removed.items(), *done.replaced.items())}
        return keys

    async def known(self, thread_id: str, condensations: Collection[str]) -> set[str]:
        """Which of these condensations are on record, of any list of the thread."""
        records = (await self._runtime.pipeline()).records
        found = records.find(
            thread_id,
            [CONDENSATION],
            query={"f.start.condensation": {"$in": list(condensations)}},
            keep=lambda record: record["start"]["condensation"] in condensations,
        )
        return {record["start"]["condensation"] async for record in found}

    def _loaded(self, record: StoredRecord) -> Any:
        start = record["start"]
        chunks = [start["d"], *[record[f"more-{n}"].get("d") for n in range(1, start["chunks"])]]
        if None in chunks:
            lost = f"{chunks.count(None)} of its {len(chunks)} parts are missing"
            raise DataIntegrityError(f"The {record.kind} {record.id!r} of thread {record.thread_id!r}: {lost}.")
        return self._serde.loads_typed((start["y"], b"".join(chunks)))


def condensation_key(record: Condensation) -> str:
    """Names a condensation: a sub-graph may condense the same list."""
    return f"{record.id}:{record.checkpoint_ns}:{record.key}"


def message_key(message_id: str, digest: str) -> str:
    """Names an archived message: forks may hold different messages under one id."""
    return f"{message_id}:{digest}"


def _in_chunks(kind: str, record_id: str, value: dict[str, Any], data: bytes) -> list[Facet]:
    chunks = [data[at : at + _CHUNK_BYTES] for at in range(0, len(data), _CHUNK_BYTES)] or [b""]
    values = [{**value, "chunks": len(chunks), "d": chunks[0]}, *[{"d": chunk} for chunk in chunks[1:]]]
    names = ["start", *[f"more-{n}" for n in range(1, len(chunks))]]
    return [
        Facet(kind=kind, id=record_id, name=name, rank=1, value=said) for name, said in zip(names, values, strict=True)
    ]


def _steps(facets: Sequence[Facet]) -> Iterator[list[Facet]]:
    """As many facets at a time as one journal entry should hold, in order."""
    step: list[Facet] = []
    size = 0
    for facet in facets:
        if step and size + len(facet.value["d"]) > _STEP_BYTES:
            yield step
            step, size = [], 0
        step.append(facet)
        size += len(facet.value["d"])
    yield step
