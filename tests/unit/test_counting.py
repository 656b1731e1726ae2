"""Totals by many writers: sums are exact, whatever is sent twice, late or in another order."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.audio import counting as c
from langgraph_session_bridge.storage.facets import Facet, StoredRecord

START = datetime(2026, 1, 1, tzinfo=UTC)
EMPTY = StoredRecord(thread_id="thread", kind="audio", id="audio")

names = st.sampled_from(["chunks", "bytes", "turns"])
steps = st.lists(st.tuples(st.integers(0, 3), names, st.integers(0, 1_000), st.booleans()), max_size=60)


def record(facets: list[Facet]) -> StoredRecord:
    found = EMPTY
    for facet in facets:
        found = found.with_facet(facet)
    return found


def tally(owner: str = "owner") -> c.Tally:
    return c.Tally(owner, "audio", "audio")


def versions(writer: c.Tally) -> list[Facet]:
    return [writer.totals(), writer.sketches(), writer.registers()]


@given(steps, st.randoms())
def test_any_order_and_doubling_of_writes_ends_in_exact_sums(
    told: list[tuple[int, str, int, bool]], chance: random.Random
) -> None:
    tallies = [tally("same owner") for _ in range(4)]
    facets: list[Facet] = []
    sums: dict[c.Path, int] = {}
    for writer, name, amount, is_sent in told:
        tallies[writer].count({(name,): amount}, {("last",): START + timedelta(seconds=amount)})
        tallies[writer].observe((name,), amount / 1_000)
        tallies[writer].set({("state", name): amount})
        sums[name,] = sums.get((name,), 0) + amount
        facets += versions(tallies[writer]) if is_sent else []
    facets += [facet for each in tallies for facet in versions(each)]
    in_order = record(facets)
    chance.shuffle(facets)
    mixed = record([*facets, *chance.choices(facets, k=len(facets))])
    for found in (in_order, mixed):
        assert c.read_totals(found) == sums
        assert {path: sketch.count for path, sketch in c.read_sketches(found).items()} == {
            path: sum((name,) == path for _, name, _, _ in told) for path in sums
        }
        assert c.read_highest(found).get(("last",)) == max(
            (START + timedelta(seconds=amount) for _, _, amount, _ in told), default=None
        )
        assert c.read_registers(found) == {("state", name): amount for _, name, amount, _ in told}


def test_a_session_that_was_forgotten_counts_on_under_a_name_of_its_own() -> None:
    first = tally()
    first.count({("chunks",): 5})
    kept = first.totals()
    again = tally()
    again.count({("chunks",): 2})
    assert c.read_totals(record([kept, again.totals()])) == {("chunks",): 7}
    assert c.count_writers(record([kept, *versions(again)])) == 2


def test_names_of_facets_fit_whatever_the_owner_is_called() -> None:
    from langgraph_session_bridge.storage.facets import packed

    packed([tally(owner).totals() for owner in ("", "Host.Example:12 34/ü" * 9, "-" * 80)])


def test_registers_set_by_different_writers_do_not_overwrite_each_other() -> None:
    one, other = tally(), tally()
    one.set({("format", "rate"): 8_000, ("connection", "state"): "open"})
    other.set({("connection", "state"): "lost"})
    late = [other.registers(), one.registers()]
    assert c.read_registers(record(late)) == {("format", "rate"): 8_000, ("connection", "state"): "lost"}


def test_two_writers_in_the_same_microsecond_are_read_the_same_way_in_any_order() -> None:
    facets = [
        Facet(kind="audio", id="audio", name=f"v-{name}", rank=7, value={"registers": [[["state"], 7, name]]})
        for name in ("a", "b")
    ]
    assert c.read_registers(record(facets)) == c.read_registers(record(facets[::-1])) == {("state",): "b"}


def test_moments_never_repeat_in_any_thread() -> None:
    clock, told = c.Clock(), list[list[int]]()

    def tell() -> None:
        told.append([clock() for _ in range(2_000)])

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({moment for moments in told for moment in moments}) == 8_000
    assert all(moments == sorted(moments) for moments in told)
    assert clock() < 2**53


@pytest.mark.parametrize("amount", [-1, 2**62])
def test_totals_only_grow(amount: int) -> None:
    counted = tally()
    with pytest.raises(InvalidInputError, match="only grow"):
        counted.count({("fine",): 1, ("chunks",): amount})
    assert c.read_totals(record([counted.totals()])) == {}


def test_names_are_bounded() -> None:
    counted = tally()
    counted.count({(str(number),): 1 for number in range(c.MOST_PATHS)})
    counted.count({("7",): 1})
    with pytest.raises(InvalidInputError, match="not into a name"):
        counted.count({("another",): 1})
    with pytest.raises(InvalidInputError, match="not into a name"):
        counted.set({("x" * (c.LONGEST_NAME + 1),): 1})
