"""The checker of histories finds what is impossible, and nothing else; an exhaustive search says the same."""

from __future__ import annotations

import itertools
import random

from .history import FOREVER, Event, violations


def put(value: int, start: float, end: float) -> Event:
    return Event(kind="put", value=value, start=start, end=end)


def read(value: int, start: float, end: float) -> Event:
    return Event(kind="read", value=value, start=start, end=end)


def test_reads_in_order_are_fine() -> None:
    assert violations([read(-1, 0, 1), put(0, 2, 3), read(0, 4, 5), put(1, 6, 7), read(1, 8, 9)]) == []


def test_a_read_during_a_put_may_see_it_or_not() -> None:
    assert violations([put(0, 0, 1), put(1, 2, 6), read(0, 3, 4), read(1, 4.5, 5)]) == []


def test_a_stale_read_is_found() -> None:
    history = [put(0, 0, 1), put(1, 2, 3), read(0, 4, 5)]
    (found,) = violations(history)
    assert found.why == "returned 0, though 1 was acknowledged 1.0000 s before"


def test_a_lag_excuses_reads_that_are_behind_by_less() -> None:
    history = [put(0, 0, 1), put(1, 2, 3), read(0, 4, 5)]
    assert violations(history, lag_s=1.1) == []
    assert len(violations(history, lag_s=0.9)) == 1


def test_a_read_that_goes_back_is_found_though_nothing_was_acknowledged() -> None:
    (found,) = violations([put(0, 0, 1), put(1, 2, FOREVER), read(1, 3, 4), read(0, 5, 6)])
    assert "1 was read 1.0000 s" in found.why


def test_a_put_that_failed_may_be_seen_late_or_never() -> None:
    base = [put(0, 0, 1), put(1, 2, FOREVER)]
    assert violations([*base, read(0, 3, 4), read(1, 5, 6)]) == []
    assert violations([*base, read(0, 3, 4), read(0, 5, 6)]) == []


def test_a_value_from_the_future_or_from_nowhere_is_found() -> None:
    (found,) = violations([read(1, 0, 1), put(1, 2, 3)])
    assert "had not begun" in found.why
    assert len(violations([read(7, 0, 1)])) == 1


def test_a_lower_id_that_is_put_later_is_not_the_head() -> None:
    assert violations([put(5, 0, 1), put(3, 2, 3), read(5, 4, 5)]) == []
    assert len(violations([put(5, 0, 1), put(3, 2, 3), read(3, 4, 5)])) == 1


def test_an_id_that_was_never_the_head_is_found() -> None:
    """It was put when a higher one was there already; the read began before both."""
    assert len(violations([put(5, 1, 2), put(3, 4, 5), read(3, 0, 6)])) == 1


def test_the_checker_agrees_with_a_search_of_all_orders() -> None:
    """Small histories at random: some order of the calls that respects time must give each read what it returned."""
    chance = random.Random(7)
    verdicts = []
    for _ in range(3000):
        history = [event_by(chance, value) for value in range(chance.randint(1, 5))]
        verdicts.append(not violations(history))
        assert verdicts[-1] == explained(history), history
    assert 500 < sum(verdicts) < 2500


def event_by(chance: random.Random, value: int) -> Event:
    start = chance.uniform(0, 10)
    end = start + chance.uniform(0.1, 4)
    if chance.random() < 0.5:
        return put(value, start, FOREVER if chance.random() < 0.2 else end)
    return read(chance.randint(-1, 4), start, end)


def explained(history: list[Event]) -> bool:
    unsure = [event for event in history if event.end == FOREVER]
    sure = [event for event in history if event.end < FOREVER]
    chosen = itertools.chain.from_iterable(itertools.combinations(unsure, n) for n in range(len(unsure) + 1))
    return any(explains(order) for extra in chosen for order in itertools.permutations([*sure, *extra]))


def explains(order: tuple[Event, ...]) -> bool:
    if any(later.end < earlier.start for earlier, later in itertools.combinations(order, 2)):
        return False
    head = -1
    for event in order:
        if event.kind == "put":
            head = max(head, event.value)
        elif event.value != head:
            return False
    return True
