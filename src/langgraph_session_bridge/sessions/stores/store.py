"""Where sessions are kept: the one interface that every place for them has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from langgraph_session_bridge.sessions.stores.search import Search
from langgraph_session_bridge.storage.facets import Facet, StoredRecord
from langgraph_session_bridge.storage.gates import Mode


class SessionStore(Protocol):
    """Keeps the record of each session by its thread, and finds them again.

    A record consists of facets (see `keeping`). `swap` decides who wins a race; everything else merges by rank, so
    that repeating it is harmless.
    """

    async def read(self, thread_id: str) -> StoredRecord | None:
        """The session of a thread, with what any process told of it."""
        ...

    async def named(self, session_id: str) -> str | None:
        """The thread of a session whose id is not that of its thread; if there are several, any one of them."""
        ...

    async def swap(self, thread_id: str, life: Facet, expected: int, also: Sequence[Facet]) -> bool:
        """Puts `life` in the place of the one with rank `expected` (0: there is none), and merges other facets.

        False if it is another by now; then nothing was written.
        """
        ...

    async def merge(self, thread_id: str, facets: Sequence[Facet]) -> None:
        """Merges facets other than `life`, at once or a little later."""
        ...

    async def find(self, search: Search) -> list[StoredRecord]:
        """Sessions that match, in order."""
        ...

    async def count(self, search: Search) -> Mapping[str, int]:
        """How many sessions match, by status; whatever `after` and `limit` say."""
        ...

    async def bar(self, thread_id: str, mode: Mode, rev: int, *, era: str | None = None, tighten: bool = False) -> bool:
        """Lets the thread take all puts, none that begin a run, or none, as a revision of its session wants it.

        A store that keeps no states has nothing to do.

        Args:
            thread_id: The thread.
            mode: What it is to take.
            rev: The revision; one that a later one set stays.
            era: Only if this one lives; see `era`.
            tighten: Whether it may only become stricter, since the session is not there yet.

        Returns:
            Whether it is so afterwards.
        """
        ...

    async def is_taken(self, thread_id: str) -> bool:
        """Whether anything but a session is kept under a thread's id: checkpoints, for example."""
        ...

    async def drain(self, thread_id: str) -> None:
        """Returns when everything that was told of a thread is as durable as it gets here."""
        ...

    async def cool(self, thread_id: str) -> None:
        """Gives up what is kept of a thread for speed alone, since nobody is going to need it soon."""
        ...

    async def overdue(
        self, until: datetime, *, since: datetime | None = None, user_id: str | None = None, limit: int = 100
    ) -> list[StoredRecord]:
        """Sessions that may be expired by a time, those first whose lifetime was over first.

        A few of their facets will do, and they may be out of date: who acts on them reads them again.
        """
        ...

    async def active_at(self, thread_id: str) -> datetime | None:
        """When the newest of what is kept besides the session was made: a checkpoint, for example."""
        ...

    async def era(self, thread_id: str) -> str:
        """Tells what is under a thread's id now from what is there once that was deleted."""
        ...

    async def delete(self, thread_id: str, era: str | None = None) -> bool:
        """Deletes the session with all that belongs to its thread; false, if it is not of that era any more."""
        ...

    async def traces(self, *, user_id: str | None = None, session_id: str | None = None) -> list[StoredRecord]:
        """Sessions of a user, or by id, those included that a deletion that was cut off left behind."""
        ...

    async def census(self, thread_id: str) -> Mapping[str, int]:
        """How much of each kind is kept of a thread, what no reader can reach included."""
        ...

    async def finish(self, thread_id: str) -> None:
        """Removes what a deletion that was cut off left behind, and nothing of what is there now."""
        ...

    async def aclose(self) -> None:
        """Closes what the store itself opened."""
        ...
