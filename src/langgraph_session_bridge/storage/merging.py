"""Which runs of a block become one. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph_session_bridge.storage.documents import Document
from langgraph_session_bridge.storage.runs import (
    RUN_BYTES,
    Run,
    Typed,
    element_bytes,
    elements_of,
    run_document,
    run_of,
)


@dataclass(slots=True, kw_only=True)
class Merged:
    """A run that takes the place of several.

    Attributes:
        lineage: Its lineage.
        start: Where it starts, as the first of them.
        elements: What it holds.
        rank: Sequence of the newest of them.
        absorbed: Names of the others, to be removed afterwards.
    """

    lineage: str
    start: int
    elements: list[Typed]
    rank: int
    absorbed: list[str] = field(default_factory=list)

    @property
    def run(self) -> Run:
        """Its place."""
        return Run(lineage=self.lineage, start=self.start, stop=self.start + len(self.elements))

    @property
    def document(self) -> Document:
        """The document that replaces the first run."""
        return run_document(self.lineage, self.start, self.elements)

    def absorb(self, name: str, run: Run, document: Mapping[str, Any]) -> bool:
        """Takes a run in that starts inside or right behind this one; false if it does not, or is too much."""
        own = self.run
        elements = elements_of(document)[max(own.stop - run.start, 0) :]
        if run.start > own.stop or element_bytes(self.elements) + element_bytes(elements) > RUN_BYTES:
            return False
        self.elements += elements
        self.rank = max(self.rank, document["q"])
        self.absorbed.append(name)
        return True


def merge(documents: Mapping[str, Mapping[str, Any]]) -> list[Merged]:
    """Merges neighbours among the runs of one block; chunked runs and gaps are left as they are.

    Args:
        documents: Whole stored runs by name, of one block of one lineage.
    """
    groups: list[Merged] = []
    open_group: Merged | None = None
    for name in sorted(documents):
        document = documents[name]
        run = run_of(name, document)
        if run.chunks:
            open_group = None
        elif open_group is None or not open_group.absorb(name, run, document):
            open_group = Merged(
                lineage=run.lineage, start=run.start, elements=elements_of(document), rank=document["q"]
            )
            groups.append(open_group)
    return [group for group in groups if group.absorbed]
