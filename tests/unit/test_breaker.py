"""The circuit breaker's states, with a clock of the test's own."""

from __future__ import annotations

from langgraph_session_bridge.storage.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def open_breaker() -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker(1.0, 5.0, clock)
    breaker.trip()
    return breaker, clock


def test_it_begins_closed_and_nobody_needs_to_try() -> None:
    breaker = Breaker(1.0, 5.0)
    assert breaker.state == "closed"
    assert not breaker.may_try()


def test_one_call_tries_again_once_the_pause_is_over() -> None:
    breaker, clock = open_breaker()
    clock.now = 0.9
    assert not breaker.may_try() and breaker.state == "open"
    clock.now = 1.0
    assert breaker.may_try() and breaker.state == "half-open"
    clock.now = 100.0
    assert not breaker.may_try(), "only one call tries at a time"


def test_a_failed_try_doubles_the_pause_up_to_its_bound() -> None:
    breaker, clock = open_breaker()
    clock.now = 1.0
    for pause in (2.0, 4.0, 5.0, 5.0):
        assert breaker.may_try()
        breaker.reopen()
        clock.now += pause - 0.1
        assert not breaker.may_try()
        clock.now += 0.1


def test_failures_while_it_is_open_do_not_lengthen_the_pause() -> None:
    breaker, clock = open_breaker()
    clock.now = 0.9
    breaker.trip()
    clock.now = 1.0
    assert breaker.may_try()
    breaker.trip()
    assert breaker.state == "half-open", "the call that tries decides"


def test_a_server_that_answers_closes_it_and_the_next_pause_is_short_again() -> None:
    breaker, clock = open_breaker()
    clock.now = 1.0
    assert breaker.may_try()
    breaker.reopen()
    clock.now = 3.0
    assert breaker.may_try()
    breaker.close()
    assert breaker.state == "closed"
    breaker.trip()
    clock.now = 4.0
    assert breaker.may_try()


def test_a_call_that_has_nowhere_else_to_go_tries_at_once_but_not_beside_another() -> None:
    breaker, _ = open_breaker()
    assert breaker.may_try(at_once=True)
    assert not breaker.may_try(at_once=True)
    closed = Breaker(1.0, 5.0)
    assert not closed.may_try(at_once=True)
