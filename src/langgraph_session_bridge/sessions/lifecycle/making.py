"""Making sessions, opening those that are there, and deleting them."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack, cast

from langgraph_session_bridge.errors import SessionConflictError, SessionEndedError
from langgraph_session_bridge.records.audio.counting import CLOCK
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.branches.templates import Templates
from langgraph_session_bridge.sessions.describing import fields_of
from langgraph_session_bridge.sessions.lifecycle.moving import Moving
from langgraph_session_bridge.sessions.models import Fields, Life, Parent, Session
from langgraph_session_bridge.sessions.stores.keeping import position, time_of, touch_facet


class Making(Moving):
    """The part of `SessionManager` that makes, opens and deletes sessions."""

    def create(
        self,
        session_id: str | None = None,
        *,
        thread_id: str | None = None,
        parent: Parent | None = None,
        template: str | None = None,
        actor: str | None = None,
        **fields: Unpack[Fields],
    ) -> Call[Session]:
        """Makes a session.

        Args:
            session_id: Its id; one that nobody can guess by default.
            thread_id: The thread that it is, if it is not called like the session: an existing one, for example.
            parent: The session that it branches off.
            template: What `sessions.templates` has under this name holds for all that is not given here.
            actor: Who makes it.
            **fields: What is known of it, see `models.Fields`.

        Raises:
            SessionConflictError: It exists already.
            SessionNotFoundError: There is no such template.
            InvalidInputError: A value cannot be used; nothing was written.
        """

        async def work() -> Session:
            known = {} if template is None else (await self.templates.get(template)).fields
            given = cast("Fields", {**known, **fields})
            return await self._create(session_id, thread_id, parent, actor, given)

        return self._context.call(work())

    @property
    def templates(self) -> Templates:
        """Stored configurations by name."""
        return Templates(self._context)

    async def _create(
        self, session_id: str | None, thread_id: str | None, parent: Parent | None, actor: str | None, given: Fields
    ) -> Session:
        context = self._context
        fields = fields_of(given)
        fields = {**context.lifetimes.fields, **fields}
        fields["user_id"] = context.owner(fields.get("user_id"))
        chosen = ids.session_id(context.new_id() if session_id is None else session_id)
        thread = chosen if thread_id is None else ids.thread_id(thread_id)
        if session_id is not None or thread_id is not None:
            await self._check_free(chosen, thread)
        now = CLOCK()
        life = Life(
            session_id=chosen,
            thread_id=thread,
            parent=parent,
            created_at=time_of(now),
            key=position(now, thread),
            **fields,
        )
        session = await context.registry.create(life, actor or context.actor)
        context.follower.learn(session)
        return session

    async def _check_free(self, session_id: str, thread_id: str) -> None:
        """Ids are unique, and a user cannot take over a thread that was there before and is registered for nobody."""
        registry = self._context.registry
        for taken in dict.fromkeys((session_id, thread_id)):
            if await registry.find(replace(self._context.place(taken), user_id=None)):
                raise SessionConflictError(f"Session {taken[:80]!r} exists already; `open` resumes it, `get` reads it.")
        if self._context.user_id is not None and await registry.store.is_taken(thread_id):
            raise SessionConflictError(
                f"Thread {thread_id[:80]!r} holds a state but is no session; a manager for all users can make it one."
            )

    def open(
        self, session_id: str | None = None, *, actor: str | None = None, **fields: Unpack[Fields]
    ) -> Call[Session]:
        """Resumes a session if it was paused, makes it if it does not exist, else returns it as it is.

        What waits for somebody, or failed, goes on when its graph does.

        Args:
            session_id: Its id; a new one by default.
            actor: Who opens it.
            **fields: What is known of a session that has to be made; one that exists keeps what it has.

        Raises:
            SessionEndedError: It has ended or expired.
            SessionConflictError: It is another user's.
        """
        return self._context.call(self._open(session_id, actor, fields))

    async def _open(self, session_id: str | None, actor: str | None, given: Fields) -> Session:
        if session_id is None:
            return await self._create(None, None, None, actor, given)
        place, found, moment = self._context.place(session_id), None, CLOCK()
        for last in (False, True):
            found = await self._context.registry.find(place)
            if found is not None:
                break
            try:
                return await self._create(session_id, None, None, actor, given)
            except SessionConflictError:
                if last:
                    raise
        assert found is not None
        wanted = given.get("user_id")
        if wanted is not None and found.user_id != wanted:
            raise SessionConflictError(f"Session {session_id[:80]!r} is another user's.")
        if not found.is_open:
            message = f"Session {session_id[:80]!r} is {found.status}; `reopen` it, or create another one."
            raise SessionEndedError(message)
        if found.status == "paused":
            return await self._move(found, "resume", None, actor, None)
        found = await self._context.registry.set_right(found)
        await self._touch(found, moment)
        return found

    async def _touch(self, session: Session, moment: int) -> bool:
        """Notes that a session is active; `moment` is from before it was read."""
        if not self._context.follower.may_touch(session.thread_id):
            return False
        await self._context.registry.store.merge(session.thread_id, [touch_facet(session, moment)])
        return True

    def delete(self, session: SessionLike) -> Call[bool]:
        """Deletes a session with everything of its thread: checkpoints, records, archived messages.

        Returns:
            Whether there was one; calling it again is safe.

        Raises:
            PurgeIncompleteError: A tier did not answer, or a hook of `on_delete` failed; call it again.
        """

        async def work() -> bool:
            found = await self._context.registry.find(self._context.place(session))
            if found is None:
                return False
            registry, thread_id = self._context.registry, found.thread_id
            era = await registry.store.era(thread_id)
            now = await registry.of_thread(thread_id)
            if now is None or now.key != found.key:  # somebody else deleted it meanwhile
                return False
            self._context.controls.drain(thread_id, "the session was deleted")
            return await self._context.remove(now, era)

        return self._context.call(work())
