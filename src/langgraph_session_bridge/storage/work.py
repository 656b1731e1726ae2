"""What the pipeline is asked to store: a put that can be laid out again for another generation or parent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from langgraph_session_bridge.storage.chores import Block, Thinned
from langgraph_session_bridge.storage.documents import Document
from langgraph_session_bridge.storage.gates import Pass
from langgraph_session_bridge.storage.hints import Layout, StoredValue
from langgraph_session_bridge.storage.protocols import PutKind
from langgraph_session_bridge.storage.runs import Piece, Run

Extend = Callable[[str, int, int], bool]
"""Asks whether positions of a lineage may be tried; `False` where somebody else may have them."""


@dataclass(slots=True, kw_only=True)
class Prepared:
    """Documents of one put, the main one last.

    Attributes:
        shared: Names of parts (and their chunks) that the parent checkpoint stored already.
        shared_pieces: Pieces of lists that the parent holds.
        pieces: All pieces that the checkpoint refers to.
        runs: Runs among the documents.
        blocks: Blocks of lineages that this put completes or leaves behind.
        thinned: The parent's pending writes that can refer to what this put stores, by name.
        values: Where each channel value ends up; remembered once the put is acknowledged.
    """

    documents: list[Document] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    shared_pieces: list[Piece] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    thinned: dict[str, Thinned] = field(default_factory=dict)
    values: dict[str, StoredValue] = field(default_factory=dict)


class Work(Protocol):
    """One put or one set of pending writes, serialised when it was handed over."""

    kind: PutKind
    thread_id: str
    ns: str
    checkpoint_id: str
    parent: str
    control: bool
    shown: Pass

    def prepare(self, parent: Layout | None, extend: Extend) -> Prepared:
        """Lays the work out, sharing what `parent` is known to hold; with `None` everything is included."""
        ...
