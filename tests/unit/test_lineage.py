"""How a list continues its parent's: exact for any two lists, and no more than is new for what graphs do."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_session_bridge.checkpoint.fingerprints import WIDTH
from langgraph_session_bridge.checkpoint.lineage import MAX_PIECES, Part, Span, arrange, compare, cut, follows
from langgraph_session_bridge.storage.runs import Piece

few = st.lists(st.sampled_from("abc"), max_size=12)
"""Lists in which nearly everything occurs more than once."""
lists = few | st.lists(st.integers(0, 30).map(str), max_size=30)


def prints(elements: Sequence[str]) -> bytes:
    return b"".join(hashlib.blake2b(element.encode(), digest_size=WIDTH).digest() for element in elements)


def spans_of(old: Sequence[str], new: Sequence[str]) -> list[Span]:
    return compare(prints(old), prints(new))


def new_count(spans: Sequence[Span]) -> int:
    return sum(span.stop - span.start for span in spans if not span.kept)


def unique(count: int, name: str = "u") -> list[str]:
    return [f"{name}{number}" for number in range(count)]


class Stored:
    """A list as the storage would keep it: lineages of elements, and pieces of them."""

    def __init__(self) -> None:
        self.lineages: dict[str, list[str]] = {}
        self.pieces: list[Piece] = []
        self.elements: list[str] = []

    def put(self, new: list[str], *, begin: bool = False) -> list[Part]:
        """Stores what `arrange` says is new, at the end of the newest lineage, or in another one."""
        parts = arrange(spans_of(self.elements, new), self.pieces)
        if begin or not self.lineages:
            self.lineages[f"L{len(self.lineages)}"] = []
        name = list(self.lineages)[-1]
        pieces: list[Piece] = []
        for part in parts:
            if part.piece is None:
                at = len(self.lineages[name])
                self.lineages[name] += new[part.start : part.stop]
                pieces.append(Piece(name, at, len(self.lineages[name])))
            else:
                pieces.append(part.piece)
        self.pieces, self.elements = pieces, new
        return parts

    def read(self) -> list[str]:
        return [element for piece in self.pieces for element in self.lineages[piece.lineage][piece.start : piece.stop]]


@given(lists, lists)
@example([], [])
@example(["a"], ["a", "a"])
@example(["a", "a"], ["a"])
@example(list("abcabc"), list("cbacba"))
@example(list("aab"), list("aba"))
def test_spans_of_any_two_lists_give_the_new_one(old: list[str], new: list[str]) -> None:
    spans = spans_of(old, new)
    assert [e for span in spans for e in (old if span.kept else new)[span.start : span.stop]] == new
    assert all(span.start < span.stop for span in spans)
    taken = [at for span in spans if not span.kept for at in range(span.start, span.stop)]
    assert taken == sorted(set(taken)), "new elements are named once, in order"


@given(st.lists(st.tuples(lists, st.booleans()), max_size=6))
def test_a_chain_of_any_lists_is_read_back_exactly(chain: list[tuple[list[str], bool]]) -> None:
    stored = Stored()
    for elements, begin in chain:
        parts = stored.put(elements, begin=begin)
        assert stored.read() == elements
        assert [at for part in parts for at in range(part.start, part.stop)] == list(range(len(elements)))
        assert all(p.piece is None or p.piece.stop - p.piece.start == p.stop - p.start for p in parts)


@given(
    count=st.integers(0, 60),
    trim=st.integers(0, 60),
    edit=st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted),
    inserted=st.integers(0, 5),
    appended=st.integers(0, 5),
)
def test_a_trim_and_an_edit_and_appends_make_only_what_is_new(
    count: int, trim: int, edit: list[int], inserted: int, appended: int
) -> None:
    old = unique(count)
    start, stop = (max(trim, at) for at in edit)
    new = [*old[trim:start], *unique(inserted, "i"), *old[stop:], *unique(appended, "a")]
    spans = spans_of(old, new)
    assert new_count(spans) == inserted + appended
    assert len(spans) <= 4


@given(few, st.integers(0, 12), few)
def test_a_trim_or_an_edit_makes_only_what_is_new_even_among_repeated_elements(
    old: list[str], at: int, inserted: list[str]
) -> None:
    assert new_count(spans_of(old, old[at:])) == 0
    assert new_count(spans_of(old, old[:at])) == 0
    assert new_count(spans_of(old, old[:at] + inserted + old[at:])) <= len(inserted)


@given(lists, st.randoms(use_true_random=False))
def test_another_order_of_the_same_elements_makes_nothing_new(old: list[str], chance: random.Random) -> None:
    new = chance.sample(old, len(old))
    assert new_count(spans_of(old, new)) == 0
    assert new_count(spans_of(old, old[::-1])) == 0


@given(few, few)
def test_what_follows_a_kept_element_is_kept_with_it_even_if_it_occurs_elsewhere(
    before: list[str], rest: list[str]
) -> None:
    spans = spans_of([*before, "mark", *rest, "end"], ["first", "mark", *rest, "last"])
    assert spans == [
        Span(False, 0, 1),
        Span(True, len(before), len(before) + 1 + len(rest)),
        Span(False, 2 + len(rest), 3 + len(rest)),
    ]


def test_an_unchanged_list_is_one_span_and_an_empty_one_none() -> None:
    assert spans_of(unique(5), unique(5)) == [Span(True, 0, 5)]
    assert spans_of(unique(5), []) == spans_of([], []) == []
    assert spans_of([], unique(5)) == [Span(False, 0, 5)]


@st.composite
def pieced(draw: st.DrawFn) -> list[Piece]:
    sizes = draw(st.lists(st.tuples(st.sampled_from("LMN"), st.integers(0, 9), st.integers(1, 9)), max_size=8))
    return [Piece(lineage, start, start + length) for lineage, start, length in sizes]


def flat(pieces: Sequence[Piece]) -> list[tuple[str, int]]:
    return [(piece.lineage, at) for piece in pieces for at in range(piece.start, piece.stop)]


@given(pieced(), st.integers(0, 80), st.integers(0, 80))
def test_a_cut_of_pieces_holds_just_the_elements_asked_for(pieces: list[Piece], start: int, stop: int) -> None:
    found = cut(pieces, start, stop)
    assert flat(found) == flat(pieces)[start:stop]
    assert all(piece.start < piece.stop for piece in found)


@given(pieced(), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=8))
def test_neighbours_are_joined_wherever_they_come_from(pieces: list[Piece], kept: list[tuple[int, int]]) -> None:
    count = len(flat(pieces))
    spans = [Span(True, min(at, count), min(at + length, count)) for at, length in kept]
    parts = arrange([span for span in spans if span.start < span.stop], pieces)
    wanted = [place for span in spans for place in flat(pieces)[span.start : span.stop]]
    assert flat([part.piece for part in parts if part.piece]) == wanted
    for one, other in itertools.pairwise(parts):
        assert one.piece and other.piece and not follows(one.piece, other.piece)


def test_an_element_that_was_put_in_between_and_taken_out_again_leaves_one_piece() -> None:
    stored, elements = Stored(), unique(10)
    stored.put(elements)
    stored.put([*elements[:5], "x", *elements[5:]])
    stored.put(elements)
    assert stored.pieces == [Piece("L0", 0, 10)]


@pytest.mark.parametrize("count", [MAX_PIECES + 1, 300, 1000])
def test_a_list_in_too_many_pieces_is_stored_anew(count: int) -> None:
    old = [Piece("L", 2 * at, 2 * at + 1) for at in range(count)]
    assert arrange([Span(True, 0, count)], old) == [Part(0, count, None)]


def test_as_many_pieces_as_are_allowed_stay() -> None:
    old = [Piece("L", 2 * at, 2 * at + 1) for at in range(MAX_PIECES)]
    assert [part.piece for part in arrange([Span(True, 0, MAX_PIECES)], old)] == old


@given(st.lists(st.integers(1, 400), max_size=400))
def test_pieces_are_few_and_large_ones_are_never_stored_anew(lengths: list[int]) -> None:
    old = [Piece(f"L{number}", 0, length) for number, length in enumerate(lengths)]
    parts = arrange([Span(True, 0, sum(lengths))], old)
    assert len(parts) <= MAX_PIECES
    large = [piece for piece in old if piece.stop * 16 > sum(lengths)]
    assert [part.piece for part in parts if part.piece in large] == large


def test_edits_all_over_a_list_store_it_anew_at_times_and_never_often() -> None:
    """One element each of 500; a piece more or two for each edit, until there are too many."""
    stored, chance = Stored(), random.Random(1)
    stored.put(unique(500))
    written: list[int] = []
    for step in range(500):
        new = list(stored.elements)
        new[chance.randrange(500)] = f"e{step}"
        parts = stored.put(new)
        written.append(sum(part.stop - part.start for part in parts if part.piece is None))
        assert stored.read() == new
    often = [count for count in written if count > 1]
    assert len(often) <= 500 / 40 and sum(written) <= 12 * 500
