"""What is removed and what stays, decided from stored documents alone."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_session_bridge.checkpoint.retention import latest_kept, unreferenced
from langgraph_session_bridge.storage.documents import (
    checkpoint_field,
    chunk_field,
    part_field,
    thread_prefix,
    writes_field,
)

SERDE = JsonPlusSerializer()


def main(
    checkpoint_id: str,
    parent: str | None = None,
    *,
    ns: str = "",
    inline: tuple[str, ...] = (),
    parts: dict[str, str] | None = None,
    deltas: tuple[str, ...] = (),
) -> dict[str, Any]:
    """A checkpoint document: values inside, values in parts by origin, channels kept as deltas."""
    values: list[dict[str, Any]] = [{"c": channel, "y": "msgpack", "d": b""} for channel in inline]
    values += [{"c": channel, "o": part_field(ns, origin, channel, 1)} for channel, origin in (parts or {}).items()]
    metadata = {"counters_since_delta_snapshot": dict.fromkeys(deltas, (1, 1))} if deltas else {}
    return {
        "_id": thread_prefix("t", 0) + checkpoint_field(ns, checkpoint_id),
        "t": "t",
        "n": ns,
        "c": checkpoint_id,
        "p": parent,
        "v": values,
        "z": list(SERDE.dumps_typed(metadata)),
    }


def mains_of(*documents: dict[str, Any]) -> dict[str, Any]:
    return {checkpoint_field(document["n"], document["c"]): document for document in documents}


def kept(*documents: dict[str, Any]) -> set[str]:
    return {name.split("/", 2)[2] for name in latest_kept(mains_of(*documents), SERDE)}


def test_the_head_of_each_namespace_stays() -> None:
    rows = [main("1"), main("3", "1"), main("2", "1"), main("9", ns="child"), main("8", ns="child")]
    assert kept(*rows) == {"3", "9"}
    assert kept() == set()


def test_ancestors_stay_back_to_the_stored_value_of_a_delta_channel() -> None:
    rows = [
        main("1", inline=("log",)),
        main("2", "1", inline=("log",), deltas=("log",)),
        main("3", "2", deltas=("log",)),
        main("4", "3", deltas=("log",)),
    ]
    assert kept(*rows) == {"2", "3", "4"}


def test_a_head_that_stores_its_delta_channel_needs_no_ancestor() -> None:
    assert kept(main("1"), main("2", "1", inline=("log",), deltas=("log",))) == {"2"}


def test_every_delta_channel_counts() -> None:
    rows = [
        main("1", inline=("a",)),
        main("2", "1", inline=("b",), deltas=("a",)),
        main("3", "2", deltas=("a", "b")),
        main("0"),
    ]
    assert kept(*rows) == {"1", "2", "3"}


def test_the_branch_of_the_head_is_followed_and_no_other() -> None:
    rows = [
        main("1", inline=("log",)),
        main("2", "1", deltas=("log",)),
        main("3", "1", deltas=("log",)),
    ]
    assert kept(*rows) == {"1", "3"}


def test_a_missing_ancestor_ends_the_walk() -> None:
    assert kept(main("2", "gone", deltas=("log",))) == {"2"}


def part(checkpoint_id: str, channel: str) -> str:
    return part_field("", checkpoint_id, channel, 1)


def removed(
    gone: list[Any], left: list[Any], names: list[str], chunked: dict[str, Any] | None = None, *, settled: int = 0
) -> list[str]:
    """What goes of documents that all have the sequence 5."""
    outlines = {name: {"q": 5} | (chunked or {}).get(name, {}) for name in [*names, *(chunked or {})]}
    return sorted(unreferenced(mains_of(*left), mains_of(*gone), outlines, settled))


def test_parts_stay_with_the_checkpoints_that_refer_to_them() -> None:
    gone, left = main("1", parts={"a": "1", "b": "1"}), main("2", "1", parts={"a": "1", "b": "2"})
    names = [part("1", "a"), part("1", "b"), part("2", "b")]
    assert removed([gone], [left], names) == [part("1", "b")]
    assert removed([gone, left], [], names) == names


def test_writes_go_with_their_checkpoint_and_stay_if_it_is_yet_to_come() -> None:
    names = [writes_field("", c, "task", slot) for c in ("1", "2", "3", "11") for slot in ("+2", "-3")]
    assert removed([main("1")], [main("2", "1")], names) == [name for name in names if name.split("/")[2] == "1"]


def test_parts_of_a_checkpoint_that_is_just_being_stored_stay() -> None:
    early, late = part("3", "a"), part("1", "a")
    assert removed([main("1", parts={"a": "1"})], [main("2", "1")], [early, late]) == [late]


def test_chunks_go_with_what_is_continued_in_them() -> None:
    gone, left = main("1", parts={"a": "1"}), main("2", "1", parts={"a": "2"})
    lost, kept = part("1", "a"), part("2", "a")
    chunked = {lost: {"x": ["own", 2]}, kept: {"x": ["other", 1]}}
    chunks = [chunk_field("own", 0), chunk_field("own", 1)]
    assert removed([gone], [left], [lost, kept, *chunks, chunk_field("other", 0)], chunked) == [lost, *chunks]


def test_chunks_of_a_removed_checkpoint_go_with_it() -> None:
    gone = checkpoint_field("", "1")
    assert removed([main("1")], [main("2", "1")], [], {gone: {"x": ["big", 1]}}) == [chunk_field("big", 0)]


def test_nothing_goes_when_everything_stays() -> None:
    rows = [main("1", parts={"a": "1"}), main("2", "1", parts={"a": "1"})]
    assert removed([], rows, [part("1", "a"), writes_field("", "1", "t", "+1")]) == []


@pytest.mark.parametrize("settled", [4, 5])
def test_what_nothing_refers_to_is_a_leftover_once_every_put_before_is_settled(settled: int) -> None:
    left = main("2", parts={"a": "2"})
    kept = {part("2", "a"): {"x": ["used", 1]}, chunk_field("used", 0): {}}
    orphans = sorted([part("1", "a"), part("2", "b"), chunk_field("unused", 0)])
    assert removed([], [left], orphans, kept, settled=settled) == (orphans if settled == 5 else [])


def test_writes_without_a_checkpoint_are_no_leftover_for_it_may_be_yet_to_come() -> None:
    assert removed([], [main("2")], [writes_field("", "3", "task", "+1")], settled=9) == []


def test_writes_of_a_checkpoint_of_which_only_the_name_is_known_go_with_it() -> None:
    write = writes_field("a|b/c", "1", "task", "+1")
    gone = {checkpoint_field("a|b/c", "1"): {"v": []}}
    assert unreferenced({}, gone, {write: {"q": 5}}) == [write]
