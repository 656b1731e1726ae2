"""The session manager: a registry of threads with owner, status, history, counters and lifetime."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Self, Unpack

from langgraph_session_bridge.checkpoint.hooks import Hooks
from langgraph_session_bridge.condense.record_archive import RecordArchive
from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError
from langgraph_session_bridge.ids import checked_id
from langgraph_session_bridge.records.audio.counting import CLOCK
from langgraph_session_bridge.records.calls import Call, Runner
from langgraph_session_bridge.records.listeners import Listeners
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.alone import store_of
from langgraph_session_bridge.sessions.backing import Backing
from langgraph_session_bridge.sessions.branches.appending import Appending
from langgraph_session_bridge.sessions.branches.merging import Merging
from langgraph_session_bridge.sessions.branches.rewinding import Rewinding
from langgraph_session_bridge.sessions.context import Context, none_run
from langgraph_session_bridge.sessions.describing import fields_of
from langgraph_session_bridge.sessions.export.exporting import Exporting
from langgraph_session_bridge.sessions.following.follower import Follower, nowhere
from langgraph_session_bridge.sessions.following.prices import Prices, priced
from langgraph_session_bridge.sessions.lifecycle.anonymising import Anonymising
from langgraph_session_bridge.sessions.lifecycle.erasing import Erasing
from langgraph_session_bridge.sessions.lifecycle.leasing import Leases
from langgraph_session_bridge.sessions.lifecycle.removing import Lifetimes
from langgraph_session_bridge.sessions.lifecycle.sweeping import Sweeping
from langgraph_session_bridge.sessions.lifecycle.validating import Validating
from langgraph_session_bridge.sessions.models import Counters, Fields, Session
from langgraph_session_bridge.sessions.reading.analytics import Analysing
from langgraph_session_bridge.sessions.reading.listing import Listing
from langgraph_session_bridge.sessions.reading.looking import Looking
from langgraph_session_bridge.sessions.running import OwnLoop
from langgraph_session_bridge.sessions.settings import SessionSettings
from langgraph_session_bridge.sessions.stores.keeping import COUNTERS
from langgraph_session_bridge.sessions.stores.registry import Registry, noted
from langgraph_session_bridge.sessions.stores.store import SessionStore


class SessionManager(
    Rewinding,
    Merging,
    Appending,
    Looking,
    Listing,
    Analysing,
    Exporting,
    Leases,
    Sweeping,
    Erasing,
    Anonymising,
    Validating,
):
    """Sessions of a store; `bridge.sessions` has those of a bridge.

    Every method that asks or changes returns a `Call`: `await` it, or ask for its `result()` in code without an event
    loop. A session is named by its id, or by a `Session`, of which only the id counts: pass `rev=session.rev` to change
    it only if nobody else did since it was read.

    Example:
        ```python
        async with SessionBridge.from_conn_string(MONGODB_URI, REDIS_URL) as bridge:
            session = await bridge.sessions.open("support-42", user_id="u-7")
            await graph.ainvoke(inputs, bridge.config(session))
            report = await bridge.sessions.end(session, reason="solved")
        ```
    """

    def __init__(
        self,
        store: SessionStore,
        *,
        id_factory: ids.IdFactory = ids.new_id,
        actor: str = "application",
        runner: Runner | None = None,
        runs_of: Callable[[str], set[str]] = none_run,
        backing: Backing | None = None,
        idle_ttl_s: float | None = None,
        hard_ttl_s: float | None = None,
        prices: Prices | None = None,
        count: Callable[[str, int], None] = nowhere,
    ) -> None:
        """Manages the sessions of a store.

        Args:
            store: Where they are kept.
            id_factory: Makes the ids of sessions that are created without one.
            actor: Who does what is done here, for the history; calls may tell another.
            runner: Serves synchronous calls; a thread of its own by default.
            runs_of: Tells the runs of a thread that are under way in this process.
            backing: What sessions consist of besides their entry in the store: checkpoints, records, messages.
            idle_ttl_s: Sessions that are made without one expire when nothing happened for so long; never by default.
            hard_ttl_s: Likewise, so long after they were made.
            prices: What models cost; see `prices.Prices`.
            count: Told of `missed_moves`: changes of a status that could not be stored.

        Raises:
            InvalidTypeError: The store is none.
        """
        if not hasattr(store, "swap"):
            message = (
                f"A manager needs a SessionStore, not {type(store).__name__}; `SessionManager.from_env()` makes one, "
                "and a bridge has a manager in `sessions`."
            )
            raise InvalidTypeError(message)
        self._own_loop = OwnLoop() if runner is None else None
        serving: Runner = runner or self._own_loop or OwnLoop()
        registry = Registry(store)
        self._context = Context(
            registry=registry,
            runner=serving,
            follower=Follower(registry, lambda: serving.home, actor, runs_of, pricing=priced(prices), count=count),
            new_id=id_factory,
            actor=actor,
            runs_of=runs_of,
            backing=backing,
            lifetimes=Lifetimes.of(idle_ttl_s, hard_ttl_s),
        )

    @classmethod
    def from_env(cls, **given: Any) -> Self:
        """A manager without a bridge, by the environment: in memory, in Redis, in MongoDB, or in both.

        Args:
            **given: Any of `sessions.settings.SessionSettings`, which names the variables; goes before the environment.

        Raises:
            ConfigurationError: A value cannot be used, or an address is missing.
        """
        settings = SessionSettings.create(**given)
        store, backing = store_of(settings)
        manager = cls(store, backing=backing, idle_ttl_s=settings.idle_ttl_s, hard_ttl_s=settings.hard_ttl_s)
        if settings.sweeps_every_s:
            manager.sweep_every(settings.sweeps_every_s)
        return manager

    def for_user(self, user_id: str) -> Self:
        """The same sessions as one user may see and change them; all others look as if they were not there.

        Raises:
            InvalidInputError: The id cannot be used, or this manager is for another user already.
        """
        whose = ids.name("user_id", checked_id("user_id", user_id))
        self._context.owner(whose)
        scoped = object.__new__(type(self))
        scoped._own_loop = None
        scoped._context = replace(self._context, user_id=whose, actor=f"user {whose}")
        return scoped

    # Reading and describing

    def get(self, session: SessionLike, *, touch: bool = False) -> Call[Session]:
        """A session as it is, with what graphs of this process did to it until now.

        Args:
            session: The session, or its id.
            touch: Whether that counts as activity.

        Raises:
            SessionNotFoundError: There is none.
        """

        async def work() -> Session:
            place, moment = self._context.place(session), CLOCK()
            found = await self._context.registry.get(place)
            if await self._context.follower.catch_up(found.thread_id):
                found = await self._context.registry.get(place)
            if touch:
                await self._touch(found, moment)
            return found

        return self._context.call(work())

    def touch(self, session: SessionLike) -> Call[bool]:
        """Notes that a session is active; false if that was noted less than five seconds ago by this process.

        Raises:
            SessionNotFoundError: There is none.
        """

        async def work() -> bool:
            moment = CLOCK()
            return await self._touch(await self._context.registry.get(self._context.place(session)), moment)

        return self._context.call(work())

    def update(
        self,
        session: SessionLike,
        *,
        rev: int | None = None,
        add_tags: Collection[str] = (),
        remove_tags: Collection[str] = (),
        **fields: Unpack[Fields],
    ) -> Call[Session]:
        """Changes what is said of a session.

        Args:
            session: The session, or its id.
            rev: Only if it is at this revision.
            add_tags: Tags that it gets besides those that it has.
            remove_tags: Tags that it loses.
            **fields: See `models.Fields`. `metadata` is merged, `None` takes a name out of it; all else is replaced.
                Changes of `modes` are in the session's history.

        Raises:
            SessionNotFoundError: There is no such session.
            SessionConflictError: It is not at `rev` any more.
            InvalidInputError: A value cannot be used; nothing was written.
        """
        return self._context.call(self._update(session, rev, add_tags, remove_tags, fields))

    async def _update(
        self,
        session: SessionLike,
        rev: int | None,
        add_tags: Collection[str],
        remove_tags: Collection[str],
        given: Fields,
    ) -> Session:
        context = self._context
        fields = fields_of(given)
        context.owner(fields.get("user_id"))
        if context.user_id is not None and "user_id" in fields and fields["user_id"] is None:
            raise InvalidInputError("A user's session stays that user's; only a manager for all users can change it.")
        added, removed = ids.names("add_tags", add_tags), set(ids.names("remove_tags", remove_tags))

        def change(now: Session) -> Mapping[str, Any]:
            changed = dict(fields)
            if "metadata" in fields:
                merged = {**now.metadata, **fields["metadata"]}
                changed["metadata"] = ids.metadata({name: v for name, v in merged.items() if v is not None})
            if added or removed:
                tags = [tag for tag in fields.get("tags", now.tags) if tag not in removed]
                changed["tags"] = ids.names("tags", [*tags, *added])
            changed = {name: value for name, value in changed.items() if getattr(now, name) != value}
            if "modes" in changed:
                about = {"before": now.modes, "after": changed["modes"]}
                changed |= noted(now, "modes", actor=context.actor, about=about)
            return changed

        updated = await context.registry.change(context.place(session, rev), change)
        context.follower.learn(updated)
        return updated

    def add(self, session: SessionLike, **amounts: int) -> Call[None]:
        """Counts what happened outside of graphs, for example `add(session, messages=2)`; see `models.Counters`.

        Raises:
            SessionNotFoundError: There is no such session.
            InvalidInputError: There is no such counter, or an amount is negative.
        """

        async def work() -> None:
            if unknown := sorted(set(amounts) - set(Counters.model_fields)):
                known = ", ".join(Counters.model_fields)
                raise InvalidInputError(f"Nothing counts {', '.join(unknown)}; there are {known}.")
            found = await self._context.registry.get(self._context.place(session))
            follower = self._context.follower
            follower.count(found.thread_id, {(COUNTERS, name): amount for name, amount in amounts.items()})
            await follower.settle(found.thread_id)

        return self._context.call(work())

    # Following, and closing

    def follow(self, listeners: Listeners, hooks: Hooks, archive: RecordArchive) -> None:
        """Lets sessions follow what a recorder notices and a saver and condensers store; a bridge does it by itself."""
        follower = self._context.follower
        self._context.registry.tell = listeners.emit
        listeners.tap(follower.notice)
        hooks.after_get, hooks.after_put = follower.loaded, follower.stored
        archive.after_keep = follower.condensed

    async def aclose(self) -> None:
        """Stores what was counted and closes the store; a bridge does this by itself."""
        await self.stop_sweeping()
        await self._context.follower.close()
        await self._context.registry.store.aclose()
        if self._own_loop is not None:
            self._own_loop.stop()  # unless this is the very loop: then `close` does it

    def close(self) -> None:
        """Synchronous `aclose`."""
        if self._own_loop is None and not self._context.follower.pending and not self._context.chore.under_way:
            return
        self._context.runner.run(self.aclose(), "use `await sessions.aclose()`")
        if self._own_loop is not None:
            self._own_loop.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
