"""A process that is told to end flushes what it put first, if it asked for that; what it cannot flush is not lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest

from langgraph_session_bridge import ConfigurationError, SessionBridgeSaver, drain_on_signals

from .harness import HASTY, NEVER, Pair, Place, Worker, check_thread, wait_until

OpenSaver = Callable[..., SessionBridgeSaver]
StartWorker = Callable[..., Worker]


@pytest.mark.parametrize("waiting", ["lock", "event loop"])
def test_sigterm_flushes_and_then_ends_the_process_as_it_would_have(
    start_worker: StartWorker, place: Place, waiting: str
) -> None:
    worker = start_worker("stopped.py", waiting, **NEVER)
    worker.wait_for(1)
    assert worker.lines[0] == {"put": 20, "unflushed": 20}
    assert not place.archived()
    worker.signal(signal.SIGTERM)
    assert worker.finish() == -signal.SIGTERM
    assert sum(place.archived().values()) == 10


def test_the_applications_own_handler_has_its_turn_after_the_flush(start_worker: StartWorker, place: Place) -> None:
    worker = start_worker("stopped.py", "own handler", **NEVER)
    worker.wait_for(1)
    worker.signal(signal.SIGTERM)
    worker.wait_for(2)
    assert worker.lines[1] == {"handled": True, "unflushed": 0}
    assert worker.finish() == 0


def test_with_mongodb_down_it_ends_in_time_and_others_flush_what_is_left(
    open_saver: OpenSaver, start_worker: StartWorker, place: Place, pair: Pair
) -> None:
    worker = start_worker("stopped.py", "lock", **{**NEVER, **HASTY})
    worker.wait_for(1)
    pair.signal("mongodb", signal.SIGSTOP)
    start = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.finish() == -signal.SIGTERM
    assert time.monotonic() - start < 5
    assert "Ending without having drained" in worker.errors
    pair.revive()
    saver = open_saver()
    saver.setup()
    wait_until(lambda: sum(place.archived().values()) == 10, "another process flushed it")
    check_thread(saver, "t", 10)


def test_a_second_signal_does_not_wait_for_the_flush(start_worker: StartWorker, pair: Pair) -> None:
    worker = start_worker("stopped.py", "lock", **{**NEVER, "drain_timeout_s": 60.0, "operation_timeout_s": 60.0})
    worker.wait_for(1)
    pair.signal("mongodb", signal.SIGSTOP)
    worker.signal(signal.SIGTERM)
    time.sleep(0.3)  # two signals at once are one
    worker.signal(signal.SIGTERM)
    assert worker.finish(10) == -signal.SIGTERM
    pair.revive()


def test_handlers_are_put_back_and_none_is_installed_unasked(open_saver: OpenSaver) -> None:
    before = signal.getsignal(signal.SIGTERM)
    saver = open_saver()
    saver.setup()
    assert signal.getsignal(signal.SIGTERM) is before
    with drain_on_signals(saver, [signal.SIGTERM, signal.SIGUSR1]):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_only_the_main_thread_can_ask_for_it(open_saver: OpenSaver) -> None:
    refused: list[BaseException] = []

    def ask() -> None:
        try:
            with drain_on_signals(open_saver()):
                pass
        except ConfigurationError as error:
            refused.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert "main thread" in str(refused[0])
