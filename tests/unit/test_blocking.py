"""The private loop behind synchronous calls: it starts when needed, ends when told, and never deadlocks."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import pytest

from langgraph_session_bridge import blocking
from langgraph_session_bridge.blocking import HomeLoop, iterate_blocking, run_blocking
from langgraph_session_bridge.errors import EventLoopError


async def where() -> str:
    return threading.current_thread().name


def test_it_runs_on_a_daemon_thread_of_its_name() -> None:
    home = HomeLoop("a-name")
    assert run_blocking(home.loop, where(), "") == "a-name"
    (thread,) = [t for t in threading.enumerate() if t.name == "a-name"]
    assert thread.daemon
    home.stop()
    thread.join(5)
    assert not thread.is_alive()


def test_it_runs_by_the_time_that_it_is_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a new thread may not have its turn for a while."""
    serve = blocking._serve

    def late(loop: asyncio.AbstractEventLoop) -> None:
        time.sleep(0.2)  # time is the subject
        serve(loop)

    monkeypatch.setattr(blocking, "_serve", late)
    home = HomeLoop("home")
    assert home.loop.is_running()
    home.stop()


def test_it_starts_again_after_a_stop() -> None:
    home = HomeLoop("again")
    first = home.loop
    home.stop()
    home.stop()
    assert home.loop is not first
    assert run_blocking(home.loop, where(), "") == "again"
    home.stop()


def test_it_is_one_loop_for_many_threads() -> None:
    home, found = HomeLoop(), []
    threads = [threading.Thread(target=lambda: found.append(home.loop)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    home.stop()


def test_errors_and_results_pass_through() -> None:
    home = HomeLoop()

    async def fail() -> None:
        raise KeyError("as it is")

    with pytest.raises(KeyError, match="as it is"):
        run_blocking(home.loop, fail(), "")
    home.stop()


def test_a_call_from_the_loop_itself_is_refused_with_what_to_call() -> None:
    home = HomeLoop()

    async def nested() -> None:
        run_blocking(home.loop, where(), "use `await it()`")

    with pytest.raises(EventLoopError, match=r"wait for ever; use `await it\(\)`"):
        run_blocking(home.loop, nested(), "")
    home.stop()


def test_a_loop_that_does_not_run_is_refused() -> None:
    loop = asyncio.new_event_loop()
    with pytest.raises(EventLoopError, match="not running; do that"):
        run_blocking(loop, where(), "do that")
    loop.close()


def test_a_stop_from_the_loop_itself_waits_for_its_caller() -> None:
    home = HomeLoop()

    async def stop() -> str:
        home.stop()
        return await where()

    assert run_blocking(home.loop, stop(), "")
    home.stop()


def test_an_iteration_that_is_interrupted_is_closed_once_it_has_tidied_up() -> None:
    home, tidied = HomeLoop(), []

    async def source() -> AsyncGenerator[int, None]:
        try:
            yield 1
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)
            tidied.append(True)

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return run_blocking(home.loop, work, "")

    with pytest.raises(KeyboardInterrupt):
        list(iterate_blocking(source(), run, may_finish=lambda: True))
    assert tidied == [True]
    home.stop()


def test_an_iteration_is_closed_by_ctrl_c_that_came_before_anybody_waited_for_it() -> None:
    home, tidied = HomeLoop(), []

    async def source() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.sleep(60)
        finally:
            tidied.append(True)

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        if work.__name__ == "step" and tidied == []:
            future = asyncio.run_coroutine_threadsafe(work, home.loop)
            if not started:
                started.append(True)
                return future.result()
            raise KeyboardInterrupt
        return run_blocking(home.loop, work, "")

    started: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        list(iterate_blocking(source(), run, may_finish=lambda: True))
    assert tidied == [True]
    home.stop()
