"""Whatever order, doubling and splitting facets of tools arrive in, the same record comes of it; never backwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_session_bridge.records.tools import (
    EndStatus,
    answer_facet,
    call_key,
    end_facet,
    settled_facet,
    start_facet,
    tool_records,
)
from langgraph_session_bridge.storage.facets import Batch, Facet, StoredRecord, folded, merged

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ORDER = ["started", "unknown", "abandoned", "interrupted", "error", "success", "superseded"]
CALLS = [call_key("t", "tools:1", "c1"), call_key("t", "tools:1", "c2")]


def at(second: int) -> datetime:
    return BEGIN + timedelta(seconds=second)


@st.composite
def observed(draw: st.DrawFn) -> list[Facet]:
    """What several observers may say of up to four executions of two calls."""
    facets: list[Facet] = []
    for n in range(draw(st.integers(1, 4))):
        started = start_facet(f"run-{n}", tool_name="add", call=CALLS[n % 2], started_at=at(n), tool_call_id="c")
        mine = [started]
        statuses = st.sampled_from(["unknown", "abandoned", "interrupted", "error", "success"])
        for status in draw(st.lists(statuses, max_size=3)):
            second = draw(st.integers(0, 5))
            error = {"type": "ValueError", "message": ""} if status == "error" else None
            mine.append(_end(started, status, at(n + second), error))
        if draw(st.booleans()):
            mine.append(answer_facet(f"run-{n}", status="error", at=at(9), handled=True, message_id="m"))
        facets += mine
    return facets


def _end(started: Facet, status: EndStatus, when: datetime, error: Any) -> Facet:
    if status in ("unknown", "abandoned"):
        stored = StoredRecord(thread_id="t", kind="tool", id=started.id).with_facet(started)
        return settled_facet(stored, status, when, "gone")
    return end_facet(started, status, when, error=error)


def batches(facets: list[Facet]) -> list[Batch]:
    return [Batch(thread_id="t", generation=0, sequence=n, facets=[facet]) for n, facet in enumerate(facets, 1)]


def contents(records: dict[Any, StoredRecord]) -> dict[Any, Any]:
    return {key: (dict(record.ranks), dict(record.facets)) for key, record in records.items()}


@given(facets=observed(), data=st.data())
def test_any_order_and_doubling_ends_in_the_same_record(facets: list[Facet], data: st.DataObject) -> None:
    expected = contents(folded("t", batches(facets)))
    doubled = facets + data.draw(st.lists(st.sampled_from(facets), max_size=5))
    shuffled = data.draw(st.permutations(doubled))
    assert contents(folded("t", batches(shuffled))) == expected
    cut = data.draw(st.integers(0, len(shuffled)))
    older, newer = (folded("t", batches(part)) for part in (shuffled[:cut], shuffled[cut:]))
    both = {
        key: merged(older[key], newer[key]) if key in older and key in newer else (older.get(key) or newer[key])
        for key in {*older, *newer}
    }
    assert contents(both) == expected


@given(facets=observed(), data=st.data())
def test_a_status_never_goes_backwards_on_the_way(facets: list[Facet], data: st.DataObject) -> None:
    arriving = data.draw(st.permutations(facets))
    before: dict[str, int] = {}
    for n in range(1, len(arriving) + 1):
        for record in tool_records(folded("t", batches(arriving[:n])).values()):
            now = ORDER.index(record.status)
            assert now >= before.get(record.id, 0)
            before[record.id] = now


@given(facets=observed(), data=st.data())
def test_attempts_of_a_call_count_from_one_and_only_the_last_success_stands(
    facets: list[Facet], data: st.DataObject
) -> None:
    stored = list(folded("t", batches(data.draw(st.permutations(facets)))).values())
    read = tool_records(stored)
    for call in CALLS:
        mine = sorted((r for r in read if r.model_extra and r.model_extra.get("call") == call), key=lambda r: r.attempt)
        assert [record.attempt for record in mine] == list(range(1, len(mine) + 1))
        assert [record.seq for record in mine] == sorted(record.seq for record in mine)
        for record in mine[:-1]:
            assert record.status != "success"
    for record in stored:
        assert tool_records([record], stored) == [r for r in read if r.id == record.id]


@example(("ab", "c", "d"), ("a", "bc", "d"))
@example(("a", "b", "c"), ("a", "", "bc"))
@given(st.tuples(*[st.text(max_size=6)] * 3), st.tuples(*[st.text(max_size=6)] * 3))
def test_different_calls_have_different_keys(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (call_key(*one) == call_key(*other)) == (one == other)
