"""A loss is noticed from counters alone: never where nothing is missing, always where a seen put is."""

from __future__ import annotations

import logging
import time

import pytest

from langgraph_session_bridge.storage import losses
from langgraph_session_bridge.storage.losses import Found, Witness


def found(epoch: int, began: int, counter: int | None = None, *, blank: bool = False) -> dict[int, Found]:
    return {0: Found(epoch=epoch, began=began, counter=began if counter is None else counter, blank=blank)}


def seen(*counters: int) -> Witness:
    witness = Witness()
    witness.compare(found(1, 0))
    for counter in counters:
        witness.saw(0, 1, counter)
    return witness


@pytest.mark.parametrize("began", [3, 7])
def test_a_new_epoch_with_everything_in_it_is_no_loss(began: int) -> None:
    assert seen(1, 2, 3).compare(found(2, began)) is None


@pytest.mark.parametrize("counter", [0, 50])
def test_an_epoch_that_began_with_less_is_a_loss_however_far_it_came_since(counter: int) -> None:
    witness = seen(1, 2, 3)
    assert witness.compare(found(2, 0, counter)) is not None
    assert len(witness.losses) == witness.count == 1


def test_what_was_there_when_this_process_came_counts_too() -> None:
    witness = Witness()
    witness.compare(found(4, 2, 9))
    assert witness.compare(found(5, 8)) is not None


def test_a_loss_is_told_once() -> None:
    witness = seen(5)
    assert witness.compare(found(2, 0)) is not None
    assert witness.compare(found(2, 0)) is None
    witness.saw(0, 1, 6)  # a late answer of the memory that is gone
    witness.saw(0, 2, 1)
    assert witness.compare(found(3, 1)) is None


def test_the_window_begins_with_the_first_put_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(losses.time, "time", lambda: now[0])
    witness = seen()
    for counter in range(1, 11):
        now[0] += 1
        witness.saw(0, 1, counter)
        witness.saw(0, 1, 1)
    now[0] += 30
    loss = witness.compare(found(2, 7))
    assert loss is not None
    assert (loss.since, loss.until, loss.shards) == (1008.0, 1040.0, 1)
    assert "1970-01-01T00:16:48.000+00:00 and 1970-01-01T00:17:20.000+00:00" in str(loss)


def test_a_pause_before_what_is_lost_is_not_in_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(losses.time, "time", lambda: now[0])
    witness = seen(1, 2, 3)
    now[0] += 3600
    witness.saw(0, 1, 4)
    loss = witness.compare(found(2, 3))
    assert loss is not None and loss.since == 4600.0


def test_a_window_of_many_puts_begins_no_later_than_what_is_lost() -> None:
    witness, start = seen(), time.time()
    for counter in range(1, 20_000):
        witness.saw(0, 1, counter)
    loss = witness.compare(found(2, 10))
    assert loss is not None and loss.since <= start


def test_an_empty_redis_under_a_used_database_is_said_to_whoever_comes_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        Witness().compare(found(1, 0))
        assert caplog.text == ""
        witness = Witness()
        witness.compare(found(2, 0, blank=True))
    assert "used with a journal before" in caplog.text and witness.losses == []


def test_each_new_epoch_is_told_with_its_first_counter_and_no_epoch_twice() -> None:
    heard: list[tuple[int, int]] = []
    witness = Witness(lambda shard, began: heard.append((shard, began)))
    assert witness.epoch_of(0) == 0
    witness.compare(found(3, 5))
    assert (heard, witness.epoch_of(0)) == ([], 3)
    witness.compare(found(4, 7))
    witness.compare(found(4, 7))
    assert (heard, witness.epoch_of(0)) == ([(0, 7)], 4)


def test_what_a_slower_event_loop_found_earlier_is_no_loss(caplog: pytest.LogCaptureFixture) -> None:
    witness = seen(1, 2, 3)
    witness.compare(found(3, 3))
    witness.saw(0, 3, 9)
    with caplog.at_level(logging.WARNING):
        assert witness.compare(found(2, 3, blank=True)) is None
    assert (witness.epoch_of(0), caplog.text) == (3, "")
    assert witness.compare(found(4, 8)) is not None
