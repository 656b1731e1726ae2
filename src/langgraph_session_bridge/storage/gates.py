"""The gate of a thread: whether it takes puts, and whose. Threads that are no sessions have none, and take all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from langgraph_session_bridge.errors import (
    SessionBridgeError,
    SessionBusyError,
    SessionEndedError,
    SessionFencedError,
    SessionPausedError,
)

Mode = Literal["open", "paused", "ended"]
"""`paused`: no run may begin, one that is under way may finish its step; `ended`: nothing is put any more."""

STRICTNESS: Mapping[Mode, int] = {"open": 0, "paused": 1, "ended": 2}

Bar = Literal["ended", "paused", "leased", "fenced"]
"""Why a put is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What a put shows at the gate.

    Attributes:
        fence: Token of the lease that it is made under; 0 for none.
        begins: Whether it begins a run with new input.
    """

    fence: int = 0
    begins: bool = False


ANYBODY = Pass()


@dataclass(frozen=True, slots=True, kw_only=True)
class Barred:
    """A put was refused; nothing was written."""

    bar: Bar
    owner: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """As MongoDB keeps it with the thread, and the journal beside the thread's hot state.

    Attributes:
        version: Grows with each change, so that what is late does not undo what is newer.
        mode: Whether anybody may put.
        rev: Revision of the session that wanted it so.
        fence: Token of the newest lease; 0 if there was none since the thread was last deleted.
        owner: Who holds it; empty if nobody does.
        until: When it ends, unless it is renewed. Its token stays good until somebody else takes a lease.
    """

    version: int = 0
    mode: Mode = "open"
    rev: int = 0
    fence: int = 0
    owner: str = ""
    until: datetime | None = None

    @property
    def journaled(self) -> str:
        """As the journal's scripts read it; empty for a thread that never had one."""
        if not self.version:
            return ""
        return f"{self.version} {self.mode} {self.fence} {milliseconds(self.until)} {self.owner}"

    def is_set(self, mode: Mode, rev: int) -> bool:
        """Whether a revision of a session need not set it: one that is open stays so whatever comes late."""
        return self.mode == mode and (mode == "open" or self.rev >= rev)

    def refuses(self, shown: Pass, now: datetime) -> Barred | None:
        """Why a put is refused, if it is. The journal's `append` decides by the same rules."""
        if self.mode == "ended":
            return Barred(bar="ended")
        if self.mode == "paused" and shown.begins:
            return Barred(bar="paused")
        if shown.fence and shown.fence != self.fence:
            return Barred(bar="fenced", owner=self.owner, until=self.until)
        if not shown.fence and self.until is not None and self.until > now:
            return Barred(bar="leased", owner=self.owner, until=self.until)
        return None


OPEN = Gate()


def milliseconds(at: datetime | None) -> int:
    """Since 1970; 0 for no time."""
    return 0 if at is None else int(at.timestamp() * 1000)


def moment(millis: int) -> datetime | None:
    """The time that so many milliseconds stand for."""
    return datetime.fromtimestamp(millis / 1000, UTC) if millis else None


def refused(thread_id: str, barred: Barred) -> SessionBridgeError:
    """The error of a put that was refused."""
    name = repr(thread_id[:80])
    match barred.bar:
        case "ended":
            return SessionEndedError(f"Session {name} has ended and takes nothing more; `reopen` it first.")
        case "paused":
            return SessionPausedError(f"Session {name} is paused: no run may begin; `resume` it first.")
        case "leased":
            return SessionBusyError(
                f"Session {name} is leased by {barred.owner!r} until {barred.until:%Y-%m-%d %H:%M:%S} UTC, and this "
                "put has no lease. Take one (`sessions.lease`) and run with `bridge.config(lease)`.",
                owner=barred.owner,
                until=barred.until,
            )
        case "fenced":
            holder = f"{barred.owner!r} has it now" if barred.owner else "nobody has it now"
            return SessionFencedError(
                f"The lease of session {name} was lost: {holder}. This put came too late and was not stored; take a "
                "new lease, and go on from the state that is there then.",
                owner=barred.owner or None,
                until=barred.until,
            )
