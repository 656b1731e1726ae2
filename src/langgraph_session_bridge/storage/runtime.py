"""One pipeline for each event loop that uses a saver, one background flusher for the process."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import functools
import logging
import os
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from langgraph_session_bridge.blocking import HomeLoop, iterate_blocking, run_blocking, running_loop
from langgraph_session_bridge.errors import ClosedError, EventLoopError, JournalUnavailableError, SessionBridgeError
from langgraph_session_bridge.settings import Settings
from langgraph_session_bridge.storage.breaker import Breaker
from langgraph_session_bridge.storage.clients import check_addresses, open_mongo, open_redis
from langgraph_session_bridge.storage.compression import compressor
from langgraph_session_bridge.storage.hints import Hints
from langgraph_session_bridge.storage.mongodb import MongoArchive
from langgraph_session_bridge.storage.pipeline import Pipeline
from langgraph_session_bridge.storage.redis import RedisJournal
from langgraph_session_bridge.storage.shared import Shared
from langgraph_session_bridge.telemetry import Telemetry, default_instruments

logger = logging.getLogger(__name__)

T = TypeVar("T")
OpenClient = Callable[[], Any]

_EXIT_DRAIN_S = 5.0
_EXIT_TIDY_S = 2.0


class Runtime:
    """Opens, shares and closes what a saver stands on; shallow copies of a saver share one runtime.

    With clients of its own, every event loop gets its own pipeline, since asyncio clients serve only one loop. Clients
    that were passed in serve the loop that first uses them, and no other.
    """

    def __init__(self, settings: Settings, mongo: OpenClient, redis: OpenClient | None, *, owns_clients: bool) -> None:
        compressor(settings.compression)  # refuses what is not installed, before anything is opened
        self.settings = settings
        self._open_mongo = mongo
        self._open_redis = redis
        self._owns_clients = owns_clients
        self._home = HomeLoop()
        self._bound: asyncio.AbstractEventLoop | None = None
        self._until_bound: deque[Callable[[], object]] = deque()
        self._reset()
        # Registered for each runtime, so that it runs before whatever was opened earlier (embedded servers) is closed.
        self._at_exit = functools.partial(_drain_at_exit, weakref.ref(self))
        atexit.register(self._at_exit)

    def _reset(self) -> None:
        """The state of a fresh process: also what a forked child starts with."""
        self.shared = Shared(
            hints=Hints(self.settings.hints_max, self.settings.hints_max_bytes),
            breaker=Breaker(self.settings.breaker_pause_s, self.settings.breaker_pause_max_s),
            telemetry=Telemetry(self.settings.database, default_instruments()),
        )
        self._pipelines: dict[asyncio.AbstractEventLoop, Pipeline] = {}
        self._opening: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}
        self._background: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._closing = self._closed = False
        self._closing_future: concurrent.futures.Future[SessionBridgeError | None] | None = None
        self._pid = os.getpid()

    @property
    def has_journal(self) -> bool:
        """Whether a Redis tier is configured."""
        return self._open_redis is not None

    # Pipelines

    async def pipeline(self) -> Pipeline:
        """The pipeline of the running loop, opened on first use.

        Raises:
            ClosedError: The saver was closed.
            EventLoopError: The clients passed in belong to another loop.
        """
        if self._pid != os.getpid():
            self._after_fork()
        loop = asyncio.get_running_loop()
        found = self._pipelines.get(loop)
        if found is not None:
            return found
        if self._closed:
            message = "This saver was closed; create another one, or keep it open for as long as graphs use it."
            raise ClosedError(message)
        self._check_loop(loop)
        async with self._opening.setdefault(loop, asyncio.Lock()):
            if loop not in self._pipelines:
                self._pipelines[loop] = await self._open()
                self._forget_dead_loops()
        self._start_background()
        return self._pipelines[loop]

    def _check_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._owns_clients:
            return
        if self._bound is None:
            self._bound = loop
            self._call_deferred()
        elif self._bound is not loop:
            message = (
                "The clients passed to SessionBridgeSaver belong to another event loop (they serve only one). "
                "Create one saver per loop, or use SessionBridgeSaver.from_conn_string, which opens clients per loop."
            )
            raise EventLoopError(message)

    async def _open(self) -> Pipeline:
        settings = self.settings
        archive = MongoArchive(
            self._open_mongo(),
            settings.database,
            concurrency=settings.max_concurrency,
            owns_client=self._owns_clients,
        )
        try:
            await archive.setup(
                shards=settings.shards,
                create_indexes=settings.create_indexes,
                journal=self.has_journal,
                block_compressor=settings.block_compressor,
            )
            journal = await self._open_journal(archive)
        except BaseException:
            await archive.aclose()
            raise
        return Pipeline(journal, archive, settings, self.shared)

    async def _open_journal(self, archive: MongoArchive) -> RedisJournal | None:
        if self._open_redis is None:
            return None
        journal = RedisJournal(
            self._open_redis(),
            self.settings,
            shards=archive.deployment["shards"],
            deployment=archive.deployment["id"],
            next_epoch=archive.next_epoch,
            newest_epoch=archive.epoch,
            owns_client=self._owns_clients,
            witness=self.shared.witness,
        )
        try:
            await journal.verify()
        except BaseException:
            await journal.aclose()
            raise
        return journal

    def _forget_dead_loops(self) -> None:
        """Loops that were closed take their connections with them."""
        for loop in [loop for loop in self._pipelines if loop.is_closed()]:
            self._pipelines.pop(loop, None)
            self._opening.pop(loop, None)

    def _after_fork(self) -> None:
        """A child starts afresh: connections, loops and threads of the parent are not its own."""
        if not self._owns_clients:
            message = (
                "Clients that were opened before a fork cannot be used in the child; create the saver after the fork."
            )
            raise EventLoopError(message)
        self._reset()

    # Background

    def _start_background(self) -> None:
        """Starts flushing and tidying, once per process, on the home loop (or that of clients that were passed in)."""
        if self._background is not None or self._closing or not (self.has_journal or len(self.shared.chores)):
            return
        loop = self.home
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(self._spawn_background)

    def _spawn_background(self) -> None:
        if self._background is None and not self._closing:
            self._stop = asyncio.Event()
            # What it does for ever is no part of the call that happened to open the saver.
            nobody = contextvars.Context()
            loop = asyncio.get_running_loop()
            self._background = loop.create_task(self._work_forever(), name="lsb-flusher", context=nobody)

    async def _work_forever(self) -> None:
        while not self._stop.is_set():
            try:
                pipeline = await self.pipeline()
            except ClosedError:
                return
            except Exception as error:  # whatever opening runs into: the flusher must not be missing afterwards
                logger.warning("The flusher cannot reach its servers yet: %s", error)
                await asyncio.sleep(self.settings.flush_poll_s)
            else:
                await pipeline.background(self._stop)

    @property
    def home(self) -> asyncio.AbstractEventLoop:
        """The loop that serves synchronous calls and flushes in the background."""
        if not self._owns_clients and self._bound is not None:
            return self._bound
        return self._home.loop

    @property
    def is_home(self) -> bool:
        """Whether this code runs in the home loop, so that waiting for what that loop does would be for ever."""
        loop = running_loop()
        return loop is not None and self.can_drain_at_exit and loop is self.home

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Calls back in the home loop.

        Clients that were passed in and serve no loop yet are left to who is about to use them: as long as a loop runs
        here, that is the saver in it. If it has not by the next turn of that loop, the loop becomes theirs.

        Raises:
            RuntimeError: The loop was closed.
        """
        loop = running_loop()
        if self._owns_clients or self._bound is not None or loop is None:
            self.home.call_soon_threadsafe(callback)
            return
        self._until_bound.append(callback)
        loop.call_soon(self._call_deferred)

    def _call_deferred(self) -> None:
        loop = asyncio.get_running_loop() if self._bound is None else self._bound
        while self._until_bound:
            loop.call_soon_threadsafe(self._until_bound.popleft())

    @property
    def can_drain_at_exit(self) -> bool:
        """Whether the home loop still runs in this process; none is started that late."""
        if self._pid != os.getpid():
            return False
        return self.home.is_running() if self._bound is not None else self._home.started

    # Calls

    def run(self, work: Coroutine[Any, Any, T], instead: str) -> T:
        """Serves a synchronous call.

        Raises:
            EventLoopError: Waiting here would deadlock; `instead` says what to call.
        """
        if self._pid != os.getpid():
            self._after_fork()
        return run_blocking(self.home, work, instead)

    def iterate(self, source: AsyncIterator[T], instead: str) -> Iterator[T]:
        """Serves a synchronous iteration, one item at a time."""
        return iterate_blocking(source, lambda work: self.run(work, instead), may_finish=lambda: not self._closed)

    # Closing

    async def aclose(self, *, blocked: asyncio.AbstractEventLoop | None = None) -> None:
        """Drains the journal within `drain_timeout_s`, stops the flusher and closes the library's own clients.

        What could not be drained stays in the journal; another process, or the next start, flushes it.

        Args:
            blocked: A loop that waits for this call in its own thread, and so cannot be waited for.
        """
        if self._closing_future is None:
            self._closing_future = concurrent.futures.Future()
            self._closing = True
            try:
                failure = await self._close_all(blocked)
            except BaseException as error:  # cancelled: what was not closed yet can be closed by another call
                future, self._closing_future = self._closing_future, None
                future.set_exception(error)
                raise
            self._closing_future.set_result(failure)
        else:
            failure = await asyncio.wrap_future(self._closing_future)
        if failure is not None:
            raise failure

    async def _close_all(self, blocked: asyncio.AbstractEventLoop | None) -> SessionBridgeError | None:
        failure = await self._drain() if self._pipelines else None
        self._closed = True
        atexit.unregister(self._at_exit)
        self.shared.telemetry.close()
        for loop, pipeline in list(self._pipelines.items()):
            await _on_loop(loop, _close(pipeline), wait=loop is not blocked)
            self._pipelines.pop(loop, None)
        self._home.stop()
        return failure

    async def _drain(self) -> SessionBridgeError | None:
        """Stops the flusher and flushes what this process put."""
        try:
            pipeline = await self.pipeline()
            if self._background is not None:
                await _on_loop(self.home, self._stop_background())
            if pipeline.flusher is not None:
                await pipeline.flush_own()
                with contextlib.suppress(JournalUnavailableError):  # they end by themselves
                    await pipeline.flusher.release_leases()
            with contextlib.suppress(TimeoutError):  # whatever is left untidied works as well
                await asyncio.wait_for(pipeline.tidier.run_ready(), _EXIT_TIDY_S)
        except SessionBridgeError as error:
            logger.warning("Closing without having drained the journal: %s", error)
            return error
        return None

    async def _stop_background(self) -> None:
        """Lets the flusher finish its batch; one that hangs is cut off, its entries stay in the journal."""
        task, self._background = self._background, None
        if task is not None:
            self._stop.set()
            await asyncio.wait([task], timeout=self.settings.drain_timeout_s)
            task.cancel()

    def close(self) -> None:
        """Synchronous `aclose`."""
        if self._closed or not (self._pipelines or self._home.started):
            self._closing = self._closed = True
            self.shared.telemetry.close()
            return
        self.run(self.aclose(blocked=running_loop()), "use `await saver.aclose()`")
        self._home.stop()


async def _close(pipeline: Pipeline) -> None:
    if pipeline.journal is not None:
        await pipeline.journal.aclose()
    await pipeline.archive.aclose()


async def _on_loop(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], *, wait: bool = True) -> None:
    """Runs work on the loop it belongs to; a loop that is gone took its connections with it."""
    if loop is asyncio.get_running_loop():
        await work
    elif loop.is_running():
        future = asyncio.run_coroutine_threadsafe(work, loop)
        if wait:
            await asyncio.wrap_future(future)
    else:
        work.close()


def _drain_at_exit(reference: weakref.ref[Runtime]) -> None:
    """Best effort: what is not drained here stays in the journal for the next process."""
    runtime = reference()
    if runtime is not None and runtime.can_drain_at_exit:
        future = asyncio.run_coroutine_threadsafe(runtime.aclose(), runtime.home)
        with contextlib.suppress(SessionBridgeError, TimeoutError, concurrent.futures.CancelledError):
            future.result(_EXIT_DRAIN_S)


def from_addresses(mongodb_uri: str, redis_url: str | None, settings: Settings) -> Runtime:
    """A runtime that opens clients of its own."""
    check_addresses(mongodb_uri, redis_url)
    redis = None if redis_url is None else lambda: open_redis(redis_url, settings)
    return Runtime(settings, lambda: open_mongo(mongodb_uri, settings), redis, owns_clients=True)
