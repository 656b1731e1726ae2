"""What the calls of a session manager share: whose sessions, in whose name, and who does the work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from langgraph_session_bridge.errors import ConfigurationError, InvalidInputError
from langgraph_session_bridge.records.calls import Call, Runner
from langgraph_session_bridge.records.session_ids import SessionLike, session_of
from langgraph_session_bridge.sessions.backing import Backing
from langgraph_session_bridge.sessions.following.follower import Follower
from langgraph_session_bridge.sessions.ids import IdFactory
from langgraph_session_bridge.sessions.lifecycle.chore import Chore
from langgraph_session_bridge.sessions.lifecycle.draining import Controls
from langgraph_session_bridge.sessions.lifecycle.ending import EndHooks
from langgraph_session_bridge.sessions.lifecycle.removing import Lifetimes, RemovalHooks
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.sessions.stores.registry import Place, Registry

T = TypeVar("T")

DRAIN_S = 10.0
"""How long is waited for runs that were asked to stop."""


def none_run(_: str) -> set[str]:
    """For a manager that knows no recorder."""
    return set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One for each manager; those for users differ in `user_id` and `actor`."""

    registry: Registry
    runner: Runner
    follower: Follower
    new_id: IdFactory
    actor: str
    user_id: str | None = None
    hooks: EndHooks = field(default_factory=EndHooks)
    controls: Controls = field(default_factory=Controls)
    runs_of: Callable[[str], set[str]] = none_run
    """The runs of a thread that are under way in this process."""
    removal: RemovalHooks = field(default_factory=RemovalHooks)
    chore: Chore = field(default_factory=Chore)
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    backing: Backing | None = None
    """What sessions consist of besides their entry; nothing for a manager of a store alone."""

    def call(self, work: Coroutine[Any, Any, T]) -> Call[T]:
        """A call to be awaited or asked for its result."""
        return Call(self.runner, work)

    def backed(self, what: str) -> Backing:
        """What sessions consist of, for a call that is nothing without it.

        Raises:
            ConfigurationError: This manager has a store alone.
        """
        if self.backing is None:
            raise ConfigurationError(
                f"A manager of a store alone cannot {what}: that needs checkpoints and records. Use `bridge.sessions`."
            )
        return self.backing

    async def remove(self, session: Session, era: str | None = None) -> bool:
        """Runs the hooks of `on_delete`, then deletes a session with everything of its thread.

        Args:
            session: The session.
            era: Only if its thread is still of this era.

        Raises:
            PurgeIncompleteError: A hook failed, or a tier did not answer.
        """
        await self.removal.run(session)
        with contextlib.suppress(TimeoutError):  # what is counted later would be of a session that is gone
            async with asyncio.timeout(DRAIN_S):
                await self.follower.settle(session.thread_id)
        if self.backing is not None:
            await self.backing.saver._prepare_to_delete([session.thread_id])
        deleted = await self.registry.store.delete(session.thread_id, era)
        self.follower.forget(session.thread_id)
        return deleted

    async def stop_runs(self, thread_id: str, reason: str) -> None:
        """Lets runs that have a control finish their step, since what they put afterwards would come too late."""
        if not self.controls.drain(thread_id, reason):
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + DRAIN_S
        while self.runs_of(thread_id) and loop.time() < until:  # noqa: ASYNC110 - nobody tells of ends
            await asyncio.sleep(0.01)

    def place(self, session: SessionLike, rev: int | None = None) -> Place:
        """Which session is meant.

        Raises:
            InvalidInputError: Its id cannot be used.
        """
        return Place(session_id=session_of(session).thread_id, user_id=self.user_id, rev=rev)

    def owner(self, user_id: str | None) -> str | None:
        """Whose session is made or looked for.

        Raises:
            InvalidInputError: Another user's, in the name of one.
        """
        if self.user_id is not None and user_id not in (None, self.user_id):
            raise InvalidInputError("This manager is for one user; it cannot reach the sessions of another.")
        return self.user_id or user_id
