"""A thread as rows that mean the same in another database: read out document by document, and put in again.

Values stay what the saver's serde made of them; only names and ranks change. Like a copy (see `copying`), but with
every record, and with something between the two ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from langgraph_session_bridge.checkpoint.copying import BEFORE_ANY_PUT, moved
from langgraph_session_bridge.errors import InvalidInputError, SessionConflictError, UnavailableError
from langgraph_session_bridge.storage.documents import decode, name_of, opened, re_encode
from langgraph_session_bridge.storage.facets import Batch, Facet, StoredRecord, unpacked
from langgraph_session_bridge.storage.pipeline import Pipeline
from langgraph_session_bridge.storage.protocols import Archive
from langgraph_session_bridge.storage.runs import BLOCK, Piece, block_range

_PAGE = 200
_LONGEST_S = 3600.0
"""So long a thread stays claimed by a process that died."""
_KINDS = {"c": "checkpoint", "p": "value", "s": "elements", "w": "writes", "x": "chunk"}
_HEAD = ("_id", "q", "t")


def kind_of(name: str) -> str:
    """What a document is, by its name: `checkpoint`, `value`, `elements`, `writes` or `chunk`.

    Raises:
        InvalidInputError: No document is called so.
    """
    kind = _KINDS.get(name[:1])
    if kind is None or name[1:2] != "/":
        raise InvalidInputError(f"{name[:60]!r} is no name of a document")
    return kind


async def documents(archive: Archive, thread_id: str) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    """The documents of a thread that is flushed, with their ranks: checkpoints after what they need.

    A document that changes meanwhile may come twice; then the later one counts.
    """
    source = (thread_id, await archive.generation(thread_id))
    names = await archive.by_age(*source)
    rank = {name: position for position, name in enumerate(names)}
    ordered = sorted(names, key=lambda name: name.startswith("c/"))
    chunked: list[str] = []
    for start in range(0, len(ordered), _PAGE):
        page = ordered[start : start + _PAGE]
        found = await archive.fetch(*source, page)
        for name in page:
            if name in found:
                yield rank[name], opened(found[name])
            elif name.startswith("s/"):  # it was merged with others of its block
                _, lineage, first = name.split("/")
                block = int(first, 16) // BLOCK * BLOCK
                merged = block_range(Piece(lineage, block, block + BLOCK))
                for row in (await archive.fetch(*source, [], [merged])).values():
                    yield rank[name], opened(row)
        chunked += [name for name, row in found.items() if name.startswith("w/") and "x" in row]
    for name, row in (await archive.fetch(*source, chunked)).items():
        if "x" not in row:  # thinned, and its chunks deleted, while it was read
            yield rank[name], opened(row)


async def records(archive: Archive, thread_id: str) -> AsyncIterator[StoredRecord]:
    """The records of a thread that is flushed, of every kind, newest first."""
    generation = await archive.generation(thread_id)
    kinds = await archive.kinds(thread_id, generation)
    async for record in archive.records(thread_id, generation, kinds, {}, before=None):
        yield record


def read_document(raw: bytes) -> dict[str, Any]:
    """A document as it was read out.

    Raises:
        InvalidInputError: It is none.
    """
    try:
        row = decode(raw)
        kind_of(name_of(row))
    except InvalidInputError:
        raise
    except Exception as error:  # what is in the bytes may be anything
        raise InvalidInputError(f"it holds no document ({type(error).__name__})") from error
    if tuple(row)[:2] != _HEAD[:2] or not isinstance(row.get("t"), str) or not isinstance(row["q"], int):
        raise InvalidInputError("its document does not begin as one of a thread does")
    return row


def read_facets(raw: bytes) -> list[Facet]:
    """The facets of one record as they were read out.

    Raises:
        InvalidInputError: They are none, or of several records.
    """
    try:
        found = unpacked(raw)
    except Exception as error:  # what is in the bytes may be anything
        raise InvalidInputError(f"it holds no facets of a record ({type(error).__name__})") from error
    if len({(facet.kind, facet.id) for facet in found}) != 1:
        raise InvalidInputError("it holds facets of no record, or of several")
    return found


class Restoring:
    """Puts rows into a thread that has none; nothing is seen of them before the checkpoints, which come last."""

    def __init__(self, pipeline: Pipeline, thread_id: str) -> None:
        """Works on a thread; see `begin`."""
        self._pipeline, self._archive = pipeline, pipeline.archive
        self._thread_id = thread_id
        self._generation = 0
        self._stored: set[str] = set()
        self._rank = BEFORE_ANY_PUT

    async def begin(self) -> None:
        """Claims the thread.

        Raises:
            SessionConflictError: There is something in it.
            UnavailableError: Somebody else is copying to it, or sweeping it.
        """
        await self._pipeline.flush_thread(self._thread_id)
        archive, thread_id = self._archive, self._thread_id
        self._generation = await archive.generation(thread_id)
        if not await archive.claim(thread_id, _LONGEST_S):
            message = f"Thread {thread_id[:80]!r} is being copied to, or swept, by somebody else; try again."
            raise UnavailableError(message)
        try:
            if await archive.names(thread_id, self._generation, "") or await archive.kinds(thread_id, self._generation):
                message = (
                    f"Thread {thread_id[:80]!r} holds something already: delete it first (`saver.delete_thread`), or "
                    "import under another id."
                )
                raise SessionConflictError(message)
        except BaseException:
            await archive.release(thread_id)
            raise

    async def store(self, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Stores documents; one that came before is replaced."""
        fresh = []
        for rank, row in rows:
            document, name = moved(row, rank, self._thread_id, self._generation), name_of(row)
            if name not in self._stored:
                self._stored.add(name)
                fresh.append(document)
                continue
            await self._archive.store(fresh)
            fresh = []
            if name.startswith("s/"):
                await self._archive.replace_run(document, self._thread_id, row["e"])
            else:
                await self._archive.replace(self._thread_id, document.raw)
        await self._archive.store(fresh)

    async def record(self, found: Sequence[Sequence[Facet]]) -> None:
        """Stores records, newest first; each is older than any that is still to come to the thread."""
        batches = []
        for facets in found:
            self._rank -= 1
            batch = Batch(thread_id=self._thread_id, generation=self._generation, sequence=self._rank, facets=facets)
            batches.append(batch)
        await self._archive.record(batches)

    async def end(self) -> None:
        """Gives the thread free."""
        await self._archive.release(self._thread_id)
        await self._pipeline.forget(self._thread_id)

    async def undo(self) -> None:
        """Takes back what was stored."""
        await self._archive.release(self._thread_id)
        await self._pipeline.delete_thread(self._thread_id)


def encoded(row: Mapping[str, Any]) -> bytes:
    """A document, to be read by `read_document`."""
    return re_encode(row)
