"""An orderly end on SIGTERM: what this process put is flushed first, then the signal takes its course."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.errors import ConfigurationError, SessionBridgeError

logger = logging.getLogger(__name__)


@contextmanager
def drain_on_signals(saver: SessionBridgeSaver, signals: Sequence[int] = (signal.SIGTERM,)) -> Iterator[None]:
    """Within the block, a signal flushes what this process put before it does what it would have done anyway.

    Nothing that was acknowledged depends on it: what is left in Redis is flushed by other processes, or by the next
    start. It only shortens the time during which MongoDB lacks it. Flushing happens in a thread, so event loops go on;
    it takes at most `drain_timeout_s`, and a second signal does not wait for it. Servers that handle SIGTERM
    themselves (uvicorn, for example) need no help: close the saver where they shut down.

    Args:
        saver: Whose puts to flush.
        signals: Which signals; their handlers are put back at the end of the block.

    Raises:
        ConfigurationError: This is not the main thread, where alone Python handles signals.

    Example:
        ```python
        with SessionBridgeSaver.from_conn_string(MONGODB_URI, REDIS_URL) as saver, drain_on_signals(saver):
            work(builder.compile(checkpointer=saver))
        ```
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigurationError("drain_on_signals must be called in the main thread, where Python handles signals.")
    handlers = [_Draining(saver, number) for number in signals]
    try:
        yield
    finally:
        for handler in reversed(handlers):
            handler.uninstall()


class _Draining:
    """The handler of one signal: the first time it drains and sends the signal again, then it steps aside."""

    def __init__(self, saver: SessionBridgeSaver, number: int) -> None:
        self._saver = saver
        self._number = number
        self._seen = self._handed_on = False
        self._before: Any = signal.signal(number, self._handle) or signal.SIG_DFL

    def uninstall(self) -> None:
        if signal.getsignal(self._number) == self._handle:
            signal.signal(self._number, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._seen:
            self._seen = True
            threading.Thread(target=self._drain, name="lsb-drain", daemon=True).start()
            return
        self._handed_on = True
        self.uninstall()
        if callable(self._before):
            self._before(number, frame)
        else:
            signal.raise_signal(number)

    def _drain(self) -> None:
        try:
            flushed = self._saver.flush(own=True)
            logger.info("Flushed %d entries on %s.", flushed, signal.Signals(self._number).name)
        except SessionBridgeError as error:
            logger.warning("Ending without having drained the journal, which others will: %s", error)
        finally:
            if not self._handed_on:
                _send_to_main_thread(self._number)


def _send_to_main_thread(number: int) -> None:
    """Only the main thread runs handlers, and only a signal of its own wakes it while it waits for a lock."""
    main = threading.main_thread().ident
    if sys.platform == "win32" or main is None:
        os.kill(os.getpid(), number)
    else:
        signal.pthread_kill(main, number)
