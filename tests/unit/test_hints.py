"""Hints: bounded, and forgotten with their thread."""

from __future__ import annotations

import threading

from langgraph_session_bridge.storage.hints import Hints, Layout


def layout(generation: int = 0) -> Layout:
    return Layout(generation=generation, values={})


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    hints = Hints(3, 2**20)
    for number in range(10):
        hints.remember_layout("t", "", f"{number}", layout())
    for number in range(10):
        hints.remember_generation(f"t{number}", number)
    assert [n for n in range(10) if hints.layout("t", "", f"{n}")] == [7, 8, 9]
    assert [n for n in range(10) if hints.generation(f"t{n}")] == [7, 8, 9]


def test_what_is_used_again_stays() -> None:
    hints = Hints(2, 2**20)
    hints.remember_layout("t", "", "a", layout())
    hints.remember_layout("t", "", "b", layout())
    hints.remember_layout("t", "", "a", layout())
    hints.remember_layout("t", "", "c", layout())
    assert hints.layout("t", "", "a") and not hints.layout("t", "", "b")


def test_newest_is_of_the_namespace_only() -> None:
    hints = Hints(10, 2**20)
    for ns, checkpoint_id in (("", "1"), ("", "3"), ("", "2"), ("child", "9")):
        hints.remember_layout("t", ns, checkpoint_id, layout())
    hints.remember_layout("other", "", "8", layout())
    assert (hints.newest("t", ""), hints.newest("t", "child"), hints.newest("t", "none")) == ("3", "9", "")


def test_a_forgotten_thread_leaves_nothing_but_others_stay() -> None:
    hints = Hints(10, 2**20)
    hints.remember_layout("t", "", "1", layout(2))
    hints.remember_layout("u", "", "1", layout(3))
    hints.forget("t")
    assert hints.layout("t", "", "1") is None and hints.newest("t", "") == ""
    assert hints.layout("u", "", "1") and hints.generation("u") == 3


def test_many_threads_may_remember_forget_and_look_at_once() -> None:
    hints, failures = Hints(50, 2**20), []

    def work(number: int) -> None:
        try:
            for step in range(300):
                hints.remember_layout(f"t{number}", "", f"{step:04d}", layout())
                hints.newest(f"t{number}", "")
                if step % 50 == 0:
                    hints.forget(f"t{(number + 1) % 4}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
