"""Branches and copies of sessions: another session that begins with what this one had at some point."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

from langgraph.types import Interrupt

from langgraph_session_bridge.checkpoint.branching import branch_thread, duplicate_thread
from langgraph_session_bridge.checkpoint.lines import Line
from langgraph_session_bridge.errors import InvalidInputError, SessionConflictError
from langgraph_session_bridge.records.audio.counting import CLOCK
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.backing import Backing
from langgraph_session_bridge.sessions.branches import points
from langgraph_session_bridge.sessions.branches.points import Point
from langgraph_session_bridge.sessions.describing import fields_of
from langgraph_session_bridge.sessions.lifecycle.making import Making
from langgraph_session_bridge.sessions.lifecycle.resuming import pending_in
from langgraph_session_bridge.sessions.models import Fields, Life, Parent, PendingInterrupt, Session, Transition
from langgraph_session_bridge.sessions.stores.keeping import life_facet, position, time_of, touch_facet
from langgraph_session_bridge.storage.facets import OF_STATE, Facet

_COPIED = (*OF_STATE, "tool", "event", "context")
"""Kinds of records that a copy has; counts and audio are what one session did, and begin anew."""
_INHERITED = (
    "user_id", "title", "tags", "metadata", "app_name", "agent_name", "channel", "modes", "config", "idle_ttl_s",
    "hard_ttl_s",
)  # fmt: skip
"""Not whether it is pinned, nor when it was to happen."""


class Branching(Making):
    """The part of `SessionManager` that makes sessions from others."""

    def branch(
        self,
        session: SessionLike,
        *,
        checkpoint_id: str | None = None,
        message_id: str | None = None,
        turn: int | None = None,
        key: str = "messages",
        session_id: str | None = None,
        actor: str | None = None,
        **fields: Unpack[Fields],
    ) -> Call[Session]:
        """Makes a session that has the line of another one up to a point, and goes its own way from there.

        Its thread holds that checkpoint and its ancestors, with what sub-graphs did for them, and messages that
        condensers took from them: no later checkpoint, no other fork, and none of the records of tools and contexts.
        If the thread went on from there, the step is run anew, but questions that were asked then are pending again.
        It appears as a whole or not at all. The session branched from may have ended.

        Args:
            session: The session, or its id.
            checkpoint_id: Up to this checkpoint, of any fork; at most one of these three, the newest state by default.
            message_id: Up to the moment when this message arrived.
            turn: Up to the end of this turn, counted from 1.
            key: Key of the state that holds the messages.
            session_id: Id of the new session; one that nobody can guess by default.
            actor: Who does it.
            **fields: What is to be different; all but `pinned` and `scheduled_for` is inherited.

        Raises:
            SessionNotFoundError: There is no such session.
            SessionConflictError: There is one called `session_id` already, or such a thread.
            InvalidInputError: There is no such point, or a value cannot be used.
            UnavailableError: A tier does not answer, or the session was pruned or deleted meanwhile.
        """
        point = Point(checkpoint_id=checkpoint_id, message_id=message_id, turn=turn, key=key)
        return self._context.call(self._branch(session, point, session_id, actor, fields))

    def copy(
        self, session: SessionLike, *, session_id: str | None = None, actor: str | None = None, **fields: Unpack[Fields]
    ) -> Call[Session]:
        """Makes a session that has all that another one has: every checkpoint and fork, and records of what it did.

        A branch has one line and no records. What a copy does not have are counts, audio, leases and the history of
        its status, which are what one session did itself. It appears as a whole or not at all.

        Raises:
            SessionNotFoundError: There is no such session.
            SessionConflictError: There is one called `session_id` already, or such a thread.
            InvalidInputError: A value cannot be used.
            UnavailableError: A tier does not answer, or the session was pruned or deleted meanwhile.
        """
        return self._context.call(self._branch(session, None, session_id, actor, fields))

    async def _branch(
        self, session: SessionLike, point: Point | None, session_id: str | None, actor: str | None, given: Fields
    ) -> Session:
        context = self._context
        backing = context.backed("branch sessions")
        changed = fields_of(given)
        source = await context.registry.get(context.place(session))
        thread = ids.session_id(context.new_id() if session_id is None else session_id)
        check = partial(self._check_unused, thread)
        if session_id is not None:
            await check()
        head = await points.found(backing.saver, source.thread_id, point or Point())
        if head is None and point is not None:
            raise InvalidInputError(f"Session {source.session_id[:80]!r} has no checkpoint to branch from.")
        checkpoint_id = None if head is None else head.checkpoint["id"]
        changed["user_id"] = context.owner(changed.get("user_id", source.user_id))
        inherited = {name: getattr(source, name) for name in _INHERITED}
        life = _life(source, thread, checkpoint_id, actor or context.actor, {**inherited, **changed})
        asked = () if head is None else pending_in(head.pending_writes or ())
        born_with = _facets(life, source, asked)
        pipeline, saver = await backing.saver._runtime.pipeline(), backing.saver
        if point is None:
            places, kinds = (source.thread_id, thread), (*_COPIED, *backing.ledger.custom_kinds)
            await duplicate_thread(pipeline, *places, kinds=kinds, born_with=born_with, check=check)
        else:
            assert checkpoint_id is not None
            records_of = partial(_records_of, backing, source.thread_id)
            place = (source.thread_id, thread, checkpoint_id)
            await branch_thread(pipeline, saver.serde, *place, records_of=records_of, born_with=born_with, check=check)
        made = await context.registry.get(context.place(thread))
        context.follower.learn(made)
        return made

    async def _check_unused(self, thread_id: str) -> None:
        """Nobody's session, and no thread with a state, is replaced by a branch, whoever makes it."""
        registry = self._context.registry
        if await registry.store.read(thread_id) is not None or await registry.store.named(thread_id) is not None:
            raise SessionConflictError(f"Session {thread_id[:80]!r} exists already; branch to another id.")
        if await registry.store.is_taken(thread_id):
            raise SessionConflictError(f"Thread {thread_id[:80]!r} holds a state already; branch to another id.")


async def _records_of(backing: Backing, thread_id: str, line: Line) -> Collection[tuple[str, str]]:
    return await backing.archive.of_line(thread_id, line.ids)


def _life(source: Session, thread_id: str, checkpoint_id: str | None, actor: str, said: Mapping[str, Any]) -> Life:
    now = CLOCK()
    about = {"session_id": source.session_id, "checkpoint_id": checkpoint_id}
    born = Transition(ts=time_of(now), event="branch", to="created", actor=actor, rev=1, about=about)
    return Life(
        session_id=thread_id,
        thread_id=thread_id,
        parent=Parent(session_id=source.session_id, checkpoint_id=checkpoint_id),
        created_at=time_of(now),
        key=position(now, thread_id),
        transitions=[born],
        **said,
    )


def _facets(life: Life, source: Session, asked: Sequence[Interrupt]) -> list[Facet]:
    """The new session as it is stored; it waits if the thread does that it begins with."""
    if asked:
        known = {waiting.id: waiting for waiting in source.pending_interrupts}
        assert life.parent is not None
        at, checkpoint_id = life.created_at, life.parent.checkpoint_id
        waiting = [
            known.get(each.id) or PendingInterrupt(id=each.id, at=at, checkpoint_id=checkpoint_id) for each in asked
        ]
        born = life.transitions[0].model_copy(update={"to": "interrupted"})
        changed = {"status": "interrupted", "pending_interrupts": waiting, "transitions": [born]}
        life = life.model_copy(update=changed)
    return [life_facet(life), touch_facet(life)]
