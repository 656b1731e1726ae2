"""Everything that records for one saver, put together: outbox, recorder, ledger and listeners."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from langgraph_session_bridge.errors import SessionBridgeError
from langgraph_session_bridge.records.audio.sessions import AudioSessions
from langgraph_session_bridge.records.capture.capture import Capture, Redactor
from langgraph_session_bridge.records.context.queue import ContextQueues
from langgraph_session_bridge.records.finding import PipelineFinder
from langgraph_session_bridge.records.ledger import Ledger
from langgraph_session_bridge.records.listeners import Listeners
from langgraph_session_bridge.records.outbox import Outbox
from langgraph_session_bridge.records.recorder.handler import SessionRecorder
from langgraph_session_bridge.records.settling import settle
from langgraph_session_bridge.storage.runtime import Runtime

logger = logging.getLogger(__name__)


class Recordings:
    """What a bridge records with, by the settings of its saver."""

    def __init__(self, runtime: Runtime, redactors: Sequence[Redactor] = ()) -> None:
        """Records through a saver's pipeline; `redactors` see each text before it is cut and stored."""
        settings = runtime.settings
        self._runtime = runtime
        self._tasks: set[asyncio.Task[None]] = set()
        self.capture = Capture(
            level=settings.capture,
            redact_keys=settings.redact_keys,
            redactors=tuple(redactors),
            max_value_bytes=settings.capture_max_bytes,
        )
        self.outbox = Outbox(runtime)
        self.listeners = Listeners(runtime)
        self.recorder = SessionRecorder(
            self.outbox,
            capture=self.capture,
            owner=runtime.shared.owner,
            write_ahead=settings.record_write_ahead,
            write_ahead_timeout_s=settings.record_write_ahead_s,
            strict=settings.record_strict,
            settle=self._settle,
            emit=self.listeners.emit,
            may_wait=lambda: not runtime.is_home,
        )
        self.audio = AudioSessions(self.outbox, runtime.shared.owner)
        self.queues = ContextQueues(
            self.outbox,
            PipelineFinder(runtime),
            self.capture,
            strict=settings.record_strict,
            emit=self.listeners.emit,
        )
        self.ledger = Ledger(runtime, self.outbox, self.capture, runs_of=self.recorder.runs_of)

    def _settle(self, thread_id: str, root_run_id: str) -> None:
        """A run of a thread begins: what earlier ones left open is cut off. In the background, and not vital."""
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._runtime.call_soon(lambda: self._spawn(self._settled(thread_id)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="lsb-settling")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settled(self, thread_id: str) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            try:
                store = (await self._runtime.pipeline()).records
                shared, level = self._runtime.shared, self._runtime.settings.record_ack
                await settle(store, thread_id, self.recorder.runs_of, level, owner=shared.owner)
            except SessionBridgeError as error:
                logger.warning("Whether tool calls of thread %r were cut off is not known yet: %s", thread_id, error)

    async def before_delete(self, thread_id: str) -> None:
        """Stores what this process holds of a thread and forgets it: all that was told before goes with the thread."""
        audio, seconds = self.audio.forget(thread_id), self._runtime.settings.operation_timeout_s
        for receipt in (audio, self.outbox.last(thread_id)):
            if receipt is not None:
                with contextlib.suppress(SessionBridgeError, TimeoutError):  # what was dropped outlives nothing
                    async with asyncio.timeout(seconds):
                        await receipt
        self.queues.forget(thread_id)

    def close(self) -> None:
        """Stores what was handed over, within `drain_timeout_s`, and tells listeners what is still to be told."""
        seconds = self._runtime.settings.drain_timeout_s
        self.audio.close(seconds)
        self.outbox.close(seconds)
        self.listeners.close()
