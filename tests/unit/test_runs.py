"""Runs and pieces: what is laid out is found again, by names that say where everything is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_session_bridge.storage import runs as r
from langgraph_session_bridge.storage.documents import CHUNK_BYTES, Document, decode, encode, segment, whole
from langgraph_session_bridge.storage.runs import BLOCK, RUN_BYTES, Lineages, Piece, Run

starts = st.integers(0, 3 * BLOCK)
kinds = st.sampled_from(["msgpack", "msgpack", "null", "bytes"])
elements_lists = st.lists(st.tuples(kinds, st.binary(max_size=4)), min_size=1, max_size=3 * BLOCK)


def some(count: int, size: int = 1) -> list[r.Typed]:
    return [("msgpack", number.to_bytes(2, "big") + b"x" * (size - 2)) for number in range(count)]


def stored(documents: Sequence[Document]) -> dict[str, dict[str, Any]]:
    return {document.field: decode(encode(document, "t", 0).raw) for document in documents}


def read_back(start: int, made: tuple[list[Run], list[Document]]) -> list[r.Typed]:
    """The elements from a position on, by name alone; every run is where the one before it ends."""
    runs, documents = made
    found = stored(documents)
    names = sorted(name for name in found if name.startswith("s/"))
    assert [r.run_of(name, found[name]) for name in names] == runs
    elements: list[r.Typed] = []
    for run, name in zip(runs, names, strict=True):
        assert run.start == start + len(elements)
        content = r.elements_of(whole(found, name))
        assert len(content) == run.stop - run.start
        elements += content
    return elements


@given(starts, elements_lists)
def test_runs_hold_the_elements_and_cross_no_block(start: int, elements: list[r.Typed]) -> None:
    runs, documents = made = r.write_runs("L", start, elements)
    assert read_back(start, made) == elements
    assert all(run.start // BLOCK == (run.stop - 1) // BLOCK for run in runs)
    assert all(document.first_wins for document in documents), "a replay after a merge changes nothing"
    assert len(runs) == len({at // BLOCK for at in range(start, start + len(elements))}), "small runs fill their block"


@given(st.integers(0, BLOCK), st.lists(st.integers(2, RUN_BYTES + 2), min_size=1, max_size=8))
def test_a_run_takes_no_element_that_would_make_it_too_large(start: int, sizes: list[int]) -> None:
    elements = [("bytes", bytes([number]) * size) for number, size in enumerate(sizes)]
    runs, documents = made = r.write_runs("L", start, elements)
    assert read_back(start, made) == elements
    for run, document in zip(runs, documents, strict=True):
        assert run.stop - run.start == 1 or sum(map(len, document.payload["d"])) <= RUN_BYTES
    for one, other in itertools.pairwise(runs):
        room = sum(sizes[one.start - start : one.stop - start + 1])
        assert other.start % BLOCK == 0 or room > RUN_BYTES, "none ends early"


@pytest.mark.parametrize("size", [CHUNK_BYTES - 100, CHUNK_BYTES + 1, 2 * CHUNK_BYTES + 7])
def test_an_element_over_a_chunk_is_continued_in_chunks_that_its_run_names(size: int) -> None:
    elements = [*some(3), ("bytes", b"\x01" * size), *some(2)]
    runs, documents = made = r.write_runs("L", 10, elements)
    assert read_back(10, made) == elements
    assert [(run.start, run.stop) for run in runs] == [(10, 13), (13, 14), (14, 16)]
    chunks = [document.field for document in documents if document.field.startswith("x/")]
    assert len(chunks) == runs[1].chunks and all(runs[1].digest in chunk for chunk in chunks)
    assert bool(chunks) == (size > CHUNK_BYTES)
    assert runs[0].chunks == runs[2].chunks == 0
    assert all(len(encode(document, "t", 0).raw) < 2 * CHUNK_BYTES for document in documents)


@given(starts, st.integers(1, 200), st.tuples(st.integers(0, 260), st.integers(1, 260)))
def test_the_range_of_a_piece_has_every_run_that_holds_a_part_of_it_and_none_behind(
    start: int, count: int, chosen: tuple[int, int]
) -> None:
    runs, _ = r.write_runs("L", start, some(count))
    piece = Piece("L", start + chosen[0], start + chosen[0] + chosen[1])
    low, high = r.block_range(piece)
    inside = [run for run in runs if low <= r.run_field("L", run.start) < high]
    assert [run for run in runs if r.overlaps(run.piece, [piece])] == [run for run in inside if run.stop > piece.start]
    assert all(run.start // BLOCK >= piece.start // BLOCK for run in inside)


@given(st.lists(st.integers(0, 2**31), unique=True, max_size=20))
def test_names_of_a_lineage_sort_as_its_positions(positions: list[int]) -> None:
    names = [r.run_field("L", position) for position in sorted(positions)]
    assert names == sorted(names)


def test_lineages_are_never_given_twice_and_are_one_step_of_a_path() -> None:
    minted = {r.mint() for _ in range(1000)}
    assert len(minted) == 1000
    assert all(segment(name) == name and "/" not in name for name in minted)


pieces = st.builds(
    lambda lineage, start, length: Piece(lineage, start, start + length),
    st.sampled_from(["L", "M", "a-b_c"]),
    st.integers(0, 40),
    st.integers(1, 20),
)
piece_lists = st.lists(pieces, max_size=8)


def positions(found: Sequence[Piece]) -> set[tuple[str, int]]:
    return {(piece.lineage, at) for piece in found for at in range(piece.start, piece.stop)}


@given(piece_lists)
def test_packed_pieces_come_back(found: list[Piece]) -> None:
    assert r.unpack(r.pack(found)) == tuple(found)


def test_packed_pieces_name_a_lineage_once() -> None:
    many = [Piece("a-long-lineage", 2 * at, 2 * at + 1) for at in range(100)]
    assert len(r.pack(many)) < 100 * 6


@given(piece_lists)
def test_united_pieces_are_the_same_positions_apart_from_each_other(found: list[Piece]) -> None:
    united = r.united(found)
    assert positions(united) == positions(found)
    for one, other in itertools.pairwise(united):
        assert one.lineage < other.lineage or (one.lineage == other.lineage and one.stop < other.start)


@given(pieces, piece_lists)
def test_pieces_overlap_where_they_share_a_position(piece: Piece, others: list[Piece]) -> None:
    assert r.overlaps(piece, others) == bool(positions([piece]) & positions(others))


def test_pieces_of_checkpoints_and_of_pending_writes_are_found() -> None:
    one, two = Piece("L", 0, 3), Piece("M", 4, 5)
    rows = [{"c": "a", "l": r.pack([one, two])}, {"c": "b", "o": "p/x"}, {"c": "c", "y": "null", "d": b""}]
    assert r.pieces_of({"v": rows}) == r.pieces_of({"w": rows}) == [one, two]
    assert r.pieces_of({"x": ["digest", 2]}) == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8)), max_size=8), pieces)
def test_a_gap_reaches_from_the_first_missing_position_to_the_last(known: list[tuple[int, int]], wanted: Piece) -> None:
    lineages = Lineages()
    have: set[int] = set()
    for start, length in known:
        run = Run(lineage="L", start=start, stop=start + length)
        news = set(range(start, start + length)) - have
        assert lineages.add(run, [("bytes", bytes([at])) for at in range(run.start, run.stop)]) == bool(news)
        have |= news
    missing = [at for at in range(wanted.start, wanted.stop) if wanted.lineage != "L" or at not in have]
    gap = lineages.gap(wanted)
    if missing:
        assert gap == Piece(wanted.lineage, missing[0], missing[-1] + 1)
        with pytest.raises(KeyError):
            lineages.elements(wanted)
    else:
        assert gap is None
        assert lineages.elements(wanted) == [("bytes", bytes([at])) for at in range(wanted.start, wanted.stop)]
