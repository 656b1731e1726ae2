"""Condensations are undone from the list that they made, and from no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langgraph_session_bridge.condense.archive import Condensation, digest_of
from langgraph_session_bridge.condense.transcript import stitched

MESSAGES = {f"m{n}": (HumanMessage if n % 2 else AIMessage)(f"text {n}", id=f"m{n}") for n in range(1, 30)}


def told(*numbers: int) -> list[BaseMessage]:
    return [MESSAGES[f"m{n}"] for n in numbers]


def removal(before: range, removed: range, minutes: int = 0, **more: Any) -> Condensation:
    """The record of a condensation that took some of many."""
    return Condensation(
        id=f"{before}{removed}",
        thread_id="t",
        created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes),
        strategy="recent-messages",
        trigger="10 messages",
        before=[f"m{n}" for n in before],
        after=[f"m{n}" for n in before if n not in removed],
        removed={f"m{n}": "digest" for n in removed},
        **{"replaced": {}, "inserted": [], "reasons": {}, "tokens_before": 2, "tokens_after": 1, **more},
    )


def find(id: str, digest: str) -> BaseMessage | None:
    return MESSAGES.get(id)


def whole(messages: list[BaseMessage], *condensations: Condensation) -> list[int]:
    return [int(str(m.id)[1:]) for m in stitched(messages, condensations, find)]


def test_one_after_the_other() -> None:
    first, second = removal(range(1, 11), range(2, 7)), removal(range(1, 13), range(2, 11), 1)
    second = second.model_copy(
        update={"before": [*first.after, "m11", "m12"], "removed": {f"m{n}": "" for n in (7, 8, 9, 10)}}
    )
    assert whole(told(1, 11, 12, 13), second, first) == list(range(1, 14))
    assert whole(told(1, 7, 8, 9, 10, 11), second, first) == list(range(1, 12)), "a state from between them"
    assert whole(told(1, 2, 3), second, first) == [1, 2, 3], "and one from before"


def test_a_branch_finds_its_own_although_another_one_is_newer_and_would_do() -> None:
    here, there = removal(range(1, 11), range(2, 9)), removal(range(1, 11), range(2, 7), 5)
    assert whole(told(1, 9, 10, 20), here, there) == [*range(1, 11), 20]
    assert whole(told(1, 7, 8, 9, 10, 21), here, there) == [*range(1, 11), 21]


def test_a_list_that_someone_edited_is_still_explained() -> None:
    only = removal(range(1, 11), range(2, 7))
    assert whole(told(1, 8, 9, 10, 11), only) == [1, 2, 3, 4, 5, 6, 8, 9, 10, 11], "what the user removed stays removed"
    assert whole(told(7, 8, 9, 10), only) == list(range(2, 11))


def test_what_is_in_both_places_is_told_once() -> None:
    assert whole(told(*range(1, 11)), removal(range(1, 11), range(2, 7))) == list(range(1, 11))


def test_shortened_messages_are_whole_again() -> None:
    short = MESSAGES["m2"].model_copy(update={"content": "short"})
    edited = MESSAGES["m2"].model_copy(update={"content": "said later"})
    record = removal(range(1, 4), range(0), replaced={"m2": "digest"})
    record = record.model_copy(update={"became": {"m2": digest_of(short)}})
    for held, told_back in ((short, "text 2"), (edited, "said later")):
        whole = stitched([MESSAGES["m1"], held, MESSAGES["m3"]], [record], find)
        assert [message.text for message in whole] == ["text 1", told_back, "text 3"]


def test_a_gap_in_the_archive_is_an_error() -> None:
    with pytest.raises(KeyError, match="m2"):
        stitched(told(1, 7, 8, 9, 10), [removal(range(1, 11), range(2, 7))], lambda id, digest: None)
