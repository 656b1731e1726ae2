"""Chores: bounded, one for a checkpoint, handed over once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from langgraph_session_bridge.storage import chores as module
from langgraph_session_bridge.storage.chores import Chore, Chores


def chore(checkpoint_id: str, thread_id: str = "t", generation: int = 0, **left: Any) -> Chore:
    return Chore(thread_id=thread_id, generation=generation, ns="", checkpoint_id=checkpoint_id, **left)


def ids(found: list[Chore]) -> list[str]:
    return [one.checkpoint_id for one in found]


def test_what_is_ready_is_handed_over_once_and_in_order() -> None:
    chores = Chores()
    for name in "abcd":
        chores.add(chore(name))
    assert ids(chores.take(lambda one: one.checkpoint_id in "bd")) == ["b", "d"]
    assert ids(chores.take(lambda _: True)) == ["a", "c"]
    assert chores.take(lambda _: True) == [] and len(chores) == 0


def test_a_checkpoint_that_is_put_again_has_one_chore() -> None:
    chores = Chores()
    chores.add(chore("a", blocks=[("L", 0)]))
    chores.add(chore("a", blocks=[("M", 1)]))
    (found,) = chores.take(lambda _: True)
    assert found.blocks == [("M", 1)]


def test_threads_and_generations_have_chores_of_their_own() -> None:
    chores = Chores()
    for one in (chore("a"), chore("a", thread_id="u"), chore("a", generation=1)):
        chores.add(one)
    assert len(chores) == 3
    assert [one.key for one in chores.of([("t", 1, "a"), ("u", 0, "a"), ("u", 1, "a")])] == [
        ("t", 1, "a"),
        ("u", 0, "a"),
    ]
    assert len(chores) == 3, "looking takes nothing"


def test_memory_is_bounded_and_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    chores = Chores()
    for name in "abcde":
        chores.add(chore(name))
    assert ids(chores.take(lambda _: True)) == ["c", "d", "e"]


def test_each_chore_is_handed_to_one_of_many_threads() -> None:
    chores, found, failures = Chores(), [], []

    def work(number: int) -> None:
        try:
            for step in range(200):
                chores.add(chore(f"{number}-{step}"))
                found.extend(ids(chores.take(lambda one: one.checkpoint_id.endswith(str(number)))))
                chores.of([("t", 0, f"{number}-{step}")])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found += ids(chores.take(lambda _: True))
    assert not failures
    assert sorted(found) == sorted(f"{number}-{step}" for number in range(4) for step in range(200))
