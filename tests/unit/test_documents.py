"""Names and documents: no two places share a name, names sort as ids do, and every split comes together again."""

from __future__ import annotations

import itertools
from typing import Any

import bson
import pytest
from contract.test_ids import ODD
from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_session_bridge.errors import DataIntegrityError
from langgraph_session_bridge.storage import documents as d

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
printable = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_categories=["Cs"]), max_size=40)


@given(st.lists(texts, min_size=2, max_size=8, unique=True))
def test_different_texts_have_different_segments(values: list[str]) -> None:
    assert len({d.segment(value) for value in values}) == len(values)


def test_odd_ids_have_different_segments() -> None:
    assert len({d.segment(value) for value in ODD}) == len(ODD)


@given(texts)
@example("~" + "A" * 24)
@example("/")
@example("x" * 129)
def test_a_segment_is_short_and_one_step_of_a_path(value: str) -> None:
    segment = d.segment(value)
    assert "/" not in segment and len(segment) <= 128
    assert segment == value or segment.startswith("~")
    assert not (segment != value and d.segment(segment) == segment), "a digest is not the name of another id"


@given(st.lists(st.tuples(texts, st.integers(0, 2**31), texts, texts, texts), min_size=2, max_size=5, unique=True))
def test_different_places_have_different_ids(places: list[tuple[str, int, str, str, str]]) -> None:
    ids = {
        d.thread_prefix(thread, generation) + d.part_field(ns, checkpoint, channel, 1)
        for thread, generation, ns, checkpoint, channel in places
    }
    assert len(ids) == len(places)


def test_kinds_of_documents_never_share_a_name() -> None:
    names = [
        d.checkpoint_field("a", "b"),
        d.part_field("a", "b", "c", 1),
        d.writes_field("a", "b", "c", "+1"),
        d.writes_field("a", "b", "c", "-1"),
        d.chunk_field("a", 0),
    ]
    assert len(set(names)) == len(names)
    assert len({name.split("/")[0] for name in names}) == 4


@given(texts, st.lists(texts.filter(bool), min_size=2, max_size=8))
def test_checkpoint_names_sort_in_mongodb_as_ids_do_in_bytes(ns: str, ids: list[str]) -> None:
    """MongoDB compares UTF-8 bytes, as Python compares code points."""
    names = sorted(d.checkpoint_field(ns, i).encode() for i in ids)
    assert [name.decode().split("/", 2)[2] for name in names] == sorted(ids)


@given(texts, texts)
def test_every_name_that_continues_a_prefix_is_before_after(ns: str, checkpoint: str) -> None:
    prefix = d.checkpoint_field(ns)
    name = d.checkpoint_field(ns, checkpoint)
    assert prefix.encode() <= name.encode() < (prefix + d.AFTER).encode() or checkpoint.startswith(d.AFTER)


@given(texts, st.integers(0, 2**31 - 1))
def test_older_generations_sort_before_newer_ones(thread: str, generation: int) -> None:
    start, end = d.thread_prefix(thread), d.thread_prefix(thread, generation + 1)
    name = d.thread_prefix(thread, generation) + d.AFTER
    assert start < name < end


@given(texts, st.integers(0, 2**31), texts, st.integers(0, 2**62), st.integers(0, 2**62))
def test_a_sequence_is_stamped_without_touching_anything_else(
    thread: str, generation: int, ns: str, first: int, second: int
) -> None:
    document = d.Document(field=d.checkpoint_field(ns, "c"), header={"n": ns}, payload={"d": b"q" * 9, "q2": 1})
    encoded = d.encode(document, thread, generation, first)
    stamped = d.with_sequence(encoded.raw, second)
    assert stamped == d.encode(document, thread, generation, second).raw
    found = d.decode(stamped)
    assert found["q"] == second and d.name_of(found) == document.field and d.generation_of(found) == generation
    assert d.re_encode(found) == stamped


@pytest.mark.parametrize("size", [0, 1, d.CHUNK_BYTES, d.CHUNK_BYTES + 1, 2 * d.CHUNK_BYTES, 3 * d.CHUNK_BYTES + 7])
def test_what_is_split_comes_together_again(size: int) -> None:
    payload = {"d": bytes(itertools.islice(itertools.cycle(range(251)), size)), "y": "bytes"}
    made = d.Document(field="p/a/b/c", header={"h": 1}, payload=payload)
    pieces = d.split(made, size)
    assert (len(pieces) == 1) == (size <= d.CHUNK_BYTES)
    assert all(len(d.encode(piece, "t", 0).raw) < 2 * d.CHUNK_BYTES for piece in pieces)
    stored = {piece.field: d.decode(d.encode(piece, "t", 0).raw) for piece in pieces}
    assert set(d.chunk_fields(stored["p/a/b/c"])) == set(stored) - {"p/a/b/c"}
    found = d.whole(stored, "p/a/b/c")
    assert (found["d"], found["y"], found["h"]) == (payload["d"], "bytes", 1)


def test_chunks_of_a_replay_are_the_same_and_all_others_differ() -> None:
    """Storing them twice is harmless; and what one document leaves behind, no other needs."""

    def chunks(field: str, content: bytes) -> list[str]:
        made = d.Document(field=field, header={}, payload={"d": content})
        return [piece.field for piece in d.split(made, len(content))[:-1]]

    one, two = b"1" * (d.CHUNK_BYTES + 1), b"2" * (d.CHUNK_BYTES + 1)
    assert chunks("p/a/b/c", one) == chunks("p/a/b/c", one)
    assert not set(chunks("p/a/b/c", one)) & set(chunks("p/a/b/c", two))
    assert not set(chunks("p/a/b/c", one)) & set(chunks("p/a/b/d", one))


def test_a_checkpoint_that_is_put_again_has_parts_of_its_own() -> None:
    assert d.part_field("", "1", "a", "1.5") != d.part_field("", "1", "a", "2.5")
    assert len({d.part_field("", "1", "a", version) for version in (1, "1", 1.0)}) == 3


def test_a_lost_chunk_is_named_and_not_passed_over() -> None:
    content = b"x" * (2 * d.CHUNK_BYTES)
    pieces = d.split(d.Document(field="p/a/b/c", header={}, payload={"d": content}), len(content))
    stored: dict[str, Any] = {piece.field: d.decode(d.encode(piece, "thread", 0).raw) for piece in pieces}
    del stored[pieces[0].field]
    with pytest.raises(DataIntegrityError, match=rf"thread/.*incomplete: 1 of its {len(pieces) - 1} chunks"):
        d.whole(stored, "p/a/b/c")


def test_the_id_is_first_and_the_sequence_second_in_every_document() -> None:
    """`with_sequence` writes to a fixed place."""
    raw = d.encode(d.Document(field="c/a/b", header={"c": "b"}, payload={}), "t", 3, 5).raw
    assert list(bson.decode(raw))[:3] == ["_id", "q", "t"]
