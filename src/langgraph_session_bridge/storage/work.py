"""What the pipeline is asked to store: a put that can be laid out again for another generation or parent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from langgraph_session_bridge.storage.documents import Document
from langgraph_session_bridge.storage.hints import Layout, StoredValue
from langgraph_session_bridge.storage.protocols import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Documents of one put, parts first.

    Attributes:
        shared: Names of parts (and their chunks) that the parent checkpoint stored already.
        values: Where each channel value ends up; remembered once the put is acknowledged.
    """

    documents: Sequence[Document]
    shared: Sequence[str] = ()
    values: dict[str, StoredValue] | None = None


class Work(Protocol):
    """One put or one set of pending writes, serialised when it was handed over."""

    kind: Kind
    thread_id: str
    ns: str
    checkpoint_id: str
    parent: str
    control: bool

    def prepare(self, parent: Layout | None) -> Prepared:
        """Lays the work out, sharing what `parent` is known to hold; with `None` everything is included."""
        ...
