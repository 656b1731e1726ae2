"""Merging a block loses nothing, whatever a merge that was cut off has left there."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langgraph_session_bridge.storage.documents import chunk_field, decode, encode
from langgraph_session_bridge.storage.merging import Merged, merge
from langgraph_session_bridge.storage.runs import (
    BLOCK,
    RUN_BYTES,
    Typed,
    element_bytes,
    elements_of,
    run_document,
    run_field,
    run_of,
)

Block = dict[str, dict[str, Any]]


def element(position: int) -> Typed:
    return ("null", b"") if position % 7 == 0 else ("msgpack", f"e{position}".encode())


def put(block: Block, start: int, stop: int, rank: int = 1, size: int = 0) -> None:
    content = [(kind, data + b"x" * size) for kind, data in map(element, range(start, stop))]
    document = run_document("L", start, content)
    block[document.field] = decode(encode(document, "t", 0, rank).raw)


def content(block: Block) -> dict[int, Typed]:
    """What is at each position, however it is laid out; all copies of a position are the same."""
    found: dict[int, Typed] = {}
    for name, document in block.items():
        if "x" in document:
            continue
        for position, one in enumerate(elements_of(document), run_of(name, document).start):
            assert found.setdefault(position, one) == one
    return found


def carry_out(block: Block, merged: list[Merged]) -> Block:
    after = dict(block)
    for group in merged:
        for name in group.absorbed:
            del after[name]
        page = group.document
        after[page.field] = decode(encode(page, "t", 0, group.rank).raw)
    return after


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Runs side by side, with gaps, each of its own rank; and runs that a page in front of them holds already."""
    block: Block = {}
    at = 3 * BLOCK + draw(st.integers(0, 5))
    for number in range(draw(st.integers(1, 12))):
        stop = min(at + draw(st.integers(1, 9)), 4 * BLOCK)
        if at >= stop:
            break
        put(block, at, stop, rank=draw(st.integers(1, 50)) * 20 + number)
        at = stop + draw(st.sampled_from([0, 0, 0, 0, 2]))
    names = sorted(block)
    covered = draw(st.integers(0, len(names) - 1))
    first, last = run_of(names[0], block[names[0]]), run_of(names[covered], block[names[covered]])
    if set(range(first.start, last.stop)) <= content(block).keys():  # a merge that did not remove its parts
        put(block, first.start, last.stop, rank=2000)
        dropped = draw(st.sets(st.sampled_from(names[1:]), max_size=covered)) if covered else set()
        for name in dropped & set(names[1 : covered + 1]):
            del block[name]
    return block


@given(blocks())
def test_merged_runs_hold_what_their_parts_held(block: Block) -> None:
    merged = merge(block)
    after = carry_out(block, merged)
    assert content(after) == content(block)
    runs = sorted((run.start, run.stop) for name in after for run in [run_of(name, after[name])])
    assert all(one[1] < other[0] for one, other in itertools.pairwise(runs)), "no neighbours are left"
    assert merge(after) == []
    for group in merged:
        names = [run_field("L", group.start), *group.absorbed]
        assert group.rank == max(block[name]["q"] for name in names)
        assert group.start // BLOCK == (group.run.stop - 1) // BLOCK


@given(blocks(), st.randoms(use_true_random=False))
def test_the_order_in_which_runs_were_read_does_not_matter(block: Block, chance: Any) -> None:
    names = list(block)
    chance.shuffle(names)
    assert merge({name: block[name] for name in names}) == merge(block)


def test_a_lone_run_and_an_empty_block_are_left_alone() -> None:
    block: Block = {}
    assert merge(block) == []
    put(block, 0, 5)
    assert merge(block) == []


def test_runs_on_both_sides_of_a_gap_are_merged_apart() -> None:
    block: Block = {}
    for start, stop in [(0, 2), (2, 3), (5, 6), (6, 9), (10, 11)]:
        put(block, start, stop)
    assert [(group.run.start, group.run.stop) for group in merge(block)] == [(0, 3), (5, 9)]


def test_a_chunked_run_stays_and_parts_its_neighbours() -> None:
    block: Block = {}
    for start, stop in [(0, 2), (2, 3), (3, 4), (4, 6), (6, 7)]:
        put(block, start, stop)
    name = run_field("L", 3)
    block[name] |= {"x": ["digest", 2]}
    merged = merge(block)
    assert [(group.run.start, group.run.stop) for group in merged] == [(0, 3), (4, 7)]
    assert all(name not in group.absorbed for group in merged)
    assert not any(chunk_field("digest", 0) in group.absorbed for group in merged)


def test_what_would_be_too_large_stays_in_several_runs() -> None:
    block: Block = {}
    for start in range(0, 12, 2):
        put(block, start, start + 2, size=RUN_BYTES // 5)
    merged = merge(block)
    after = carry_out(block, merged)
    assert content(after) == content(block)
    assert [(group.run.start, group.run.stop) for group in merged] == [(0, 4), (4, 8), (8, 12)]
    assert all(element_bytes(elements_of(document)) <= RUN_BYTES for document in after.values())
    assert merge(after) == []


def test_a_run_that_a_page_holds_already_is_absorbed_however_large_the_page_is() -> None:
    block: Block = {}
    put(block, 0, 4, size=RUN_BYTES // 4 - 100)
    put(block, 2, 3, size=RUN_BYTES // 4 - 100)
    (group,) = merge(block)
    assert (group.run.start, group.run.stop, group.absorbed) == (0, 4, [run_field("L", 2)])
