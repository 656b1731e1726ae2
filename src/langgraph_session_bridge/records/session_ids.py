"""Which session is meant: by its id, or by an object that knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from langgraph_session_bridge.errors import InvalidTypeError
from langgraph_session_bridge.ids import checked_id


@runtime_checkable
class HasThread(Protocol):
    """A session object."""

    @property
    def thread_id(self) -> str:
        """The LangGraph thread that the session is."""
        ...


SessionLike = str | HasThread
"""A session, or its id; the id is the `thread_id` of its graphs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionIds:
    """The ids of a session."""

    thread_id: str
    session_id: str
    user_id: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """What its records say of it."""
        found = {"session_id": self.session_id, "user_id": self.user_id}
        return {name: value for name, value in found.items() if value is not None}


def session_of(session: SessionLike) -> SessionIds:
    """The ids of a session.

    Raises:
        InvalidTypeError: It is neither a session nor an id.
        InvalidInputError: The id is empty, too long or not text that can be stored.
    """
    if isinstance(session, str):
        return SessionIds(thread_id=checked_id("session", session), session_id=session)
    if not isinstance(session, HasThread):
        raise InvalidTypeError(f"A session is its id or an object with a thread_id, not {type(session).__name__}.")
    thread_id = checked_id("thread_id", session.thread_id)
    return SessionIds(
        thread_id=thread_id,
        session_id=str(getattr(session, "session_id", None) or thread_id),
        user_id=getattr(session, "user_id", None),
    )
