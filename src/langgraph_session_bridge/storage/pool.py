"""Documents read so far, what is missing to put a checkpoint together, and the checkpoint. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph_session_bridge.storage.documents import chunk_fields, parts_of, whole, writes_prefix
from langgraph_session_bridge.storage.runs import Lineages, Piece, block_range, elements_of, pieces_of, run_of, united

Documents = dict[str, Mapping[str, Any]]
Ranges = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A stored checkpoint with everything that belongs to it."""

    generation: int
    document: Mapping[str, Any]
    parts: Mapping[str, Mapping[str, Any]]
    writes: Sequence[Mapping[str, Any]]
    lineages: Lineages


class Pool:
    """Documents of one generation of a thread by name, and the elements of the runs among them."""

    def __init__(self, documents: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.documents: Documents = {}
        self.lineages = Lineages()
        self._open_runs: set[str] = set()
        self.add(documents or {})

    def add(self, documents: Mapping[str, Mapping[str, Any]]) -> bool:
        """Takes documents in; false if nothing of them was new."""
        news = any(self.documents.get(name) != document for name, document in documents.items())
        self.documents.update(documents)
        self._open_runs.update(name for name in documents if name.startswith("s/"))
        for name in list(self._open_runs):
            if self._complete(name):
                self._open_runs.discard(name)
                run = whole(self.documents, name)
                news |= self.lineages.add(run_of(name, run), elements_of(run))
        return news

    def incomplete(self) -> list[str]:
        """Names of the documents whose chunks are missing: perhaps they have none any more."""
        return [name for name in self.documents if not self._complete(name)]

    def _complete(self, name: str) -> bool:
        return all(chunk in self.documents for chunk in chunk_fields(self.documents[name]))

    def missing(self, names: Iterable[str]) -> tuple[list[str], Ranges]:
        """Names and ranges of names to be read: chunks of all documents, and what the named checkpoints refer to."""
        wanted = {chunk for document in self.documents.values() for chunk in chunk_fields(document)}
        pieces: list[Piece] = []
        for name in [*names, *self._names("w/")]:
            if self._complete(name):
                document = whole(self.documents, name)
                pieces += pieces_of(document)
                wanted.update(parts_of(document))
        gaps = [gap for piece in dict.fromkeys(pieces) if (gap := self.lineages.gap(piece))]
        return sorted(wanted - self.documents.keys()), [block_range(gap) for gap in united(gaps)]

    def _names(self, prefix: str) -> list[str]:
        return [name for name in self.documents if name.startswith(prefix)]

    def snapshot(self, generation: int, name: str) -> Snapshot:
        """A checkpoint, once nothing of it is missing (or can be found)."""
        main = whole(self.documents, name)
        prefix = writes_prefix(main["n"], main["c"])
        writes = [whole(self.documents, field) for field in self._names(prefix)]
        named = {part for document in (main, *writes) for part in parts_of(document)}
        return Snapshot(
            generation=generation,
            document=main,
            parts={part: whole(self.documents, part) for part in named if part in self.documents},
            writes=writes,
            lineages=self.lineages,
        )
