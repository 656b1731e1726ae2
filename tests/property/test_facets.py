"""Whatever order facets come in, how often, and where they are merged: the record is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import emptied

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.storage.facets import Batch, Facet, StoredRecord, folded, merged, packed, unpacked

FACETS = st.builds(
    lambda record, name, rank: Facet(kind="tool", id=record, name=name, rank=rank, value={"rank": rank}),
    record=st.sampled_from("ab"),
    name=st.sampled_from(["start", "end", "n-1"]),
    rank=st.integers(-2, 2**62),
)
HISTORIES = st.lists(st.lists(FACETS, min_size=1, max_size=4), min_size=1, max_size=6)


def batches(history: Sequence[Sequence[Facet]]) -> list[Batch]:
    return [Batch(thread_id="t", generation=0, sequence=n, facets=facets) for n, facets in enumerate(history)]


@given(history=HISTORIES, data=st.data())
def test_order_and_doubling_change_nothing(history: list[list[Facet]], data: st.DataObject) -> None:
    told = batches(history)
    again = data.draw(st.lists(st.sampled_from(told), max_size=4))
    shuffled = data.draw(st.permutations([*told, *again]))
    assert folded("t", shuffled) == folded("t", told)


@given(history=HISTORIES, at=st.integers(0, 6))
def test_two_views_are_one(history: list[list[Facet]], at: int) -> None:
    whole = folded("t", batches(history))
    early, late = folded("t", batches(history)[:at]), folded("t", batches(history)[at:])
    joined: dict[tuple[str, str], StoredRecord] = {**late, **early}
    for key in early.keys() & late.keys():
        joined[key] = merged(early[key], late[key])
        assert joined[key] == merged(late[key], early[key])
    assert joined == whole


@given(facets=st.lists(FACETS))
def test_packing_loses_nothing(facets: list[Facet]) -> None:
    assert unpacked(packed(facets)) == facets


@pytest.fixture(scope="module")
def saver(servers: EmbeddedServers) -> Iterator[SessionBridgeSaver]:
    with emptied(servers, "facets") as store:
        settings = {"database": store, "prefix": store, "flush_interval_s": 60.0, "flush_poll_s": 60.0}
        with SessionBridgeSaver.from_conn_string(servers.mongodb_uri, servers.redis_url, **settings) as opened:
            yield opened


@settings(max_examples=25)
@given(history=HISTORIES, flushed=st.sets(st.integers(0, 5)))
def test_both_tiers_merge_like_this(saver: SessionBridgeSaver, history: list[list[Facet]], flushed: set[int]) -> None:
    async def told() -> tuple[list[StoredRecord], list[StoredRecord]]:
        pipeline = await saver._runtime.pipeline()
        for number, facets in enumerate(history):
            await pipeline.records.put("t", facets, "cache")
            if number in flushed:
                await pipeline.flush()
        before = [record async for record in pipeline.records.find("t", ["tool"])]
        await pipeline.flush()
        after = [record async for record in pipeline.records.find("t", ["tool"])]
        await pipeline.delete_thread("t")
        return before, after

    before, after = asyncio.run_coroutine_threadsafe(told(), saver._runtime.home).result(60)
    assert before == after
    wanted = folded("t", batches(history))
    assert {(r.kind, r.id): (r.ranks, r.facets) for r in after} == {
        key: (r.ranks, r.facets) for key, r in wanted.items()
    }
    assert [r.id for r in after] == [r.id for r in sorted(wanted.values(), key=lambda r: r.order, reverse=True)]
