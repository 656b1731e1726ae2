"""What happens before a session is deleted, and how long sessions live that are not told."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from langgraph_session_bridge.errors import PurgeIncompleteError
from langgraph_session_bridge.sessions.describing import fields_of
from langgraph_session_bridge.sessions.lifecycle.hooks import NamedHooks
from langgraph_session_bridge.sessions.models import Session

logger = logging.getLogger(__name__)

IDLE_TTL_S = 3600.0
"""A usual idle lifetime: one hour."""
HARD_TTL_S = 86_400.0
"""A usual lifetime altogether: one day."""

RemovalHook = Callable[[Session], Awaitable[Any] | Any]
"""Called with a session that is about to be deleted, while all its data is still there."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """The lifetimes that sessions get if they are made without; none of that name if they live for ever."""

    fields: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, idle_ttl_s: float | None, hard_ttl_s: float | None) -> Self:
        """Raises `InvalidInputError` or `InvalidTypeError` if one cannot be used."""
        given = {"idle_ttl_s": idle_ttl_s, "hard_ttl_s": hard_ttl_s}
        return cls({name: value for name, value in fields_of(given).items() if value is not None})


class RemovalHooks(NamedHooks[RemovalHook]):
    """What runs before a session is deleted."""

    async def run(self, session: Session) -> None:
        """Runs the hooks; one that fails stops the deletion, since what it was to remove could not be found any more.

        Raises:
            PurgeIncompleteError: A hook failed.
        """
        for name, hook in list(self._hooks.items()):
            try:
                done = hook(session)
                if inspect.isawaitable(done):
                    await done
            except Exception as error:  # the border: a hook is foreign code
                logger.exception("The hook %s failed before session %r was deleted.", name, session.session_id)
                message = (
                    f"Session {session.session_id[:80]!r} is not deleted: the hook {name} failed "
                    f"({type(error).__name__}: {error}). Try again, or take the hook off."
                )
                raise PurgeIncompleteError(message) from error
