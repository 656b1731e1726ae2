"""Messages of refused ids: they name the argument, what came, and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_session_bridge.checkpoint import identifiers as ids
from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError
from langgraph_session_bridge.ids import MAX_ID_CHARS, checked_id


@pytest.mark.parametrize("value", [None, 7, 1.5, True, b"a", ["a"], {"$gt": ""}, object()])
def test_a_wrong_type_is_named_with_a_way_out(value: Any) -> None:
    with pytest.raises(InvalidTypeError, match=rf"thread_id must be a string, not {type(value).__name__}.*str\(\)"):
        checked_id("thread_id", value)


def test_the_message_does_not_repeat_a_huge_value() -> None:
    with pytest.raises(InvalidTypeError) as raised:
        checked_id("thread_id", ["x" * 100_000])
    assert len(str(raised.value)) < 300


def test_an_empty_id_is_refused_where_it_names_nothing() -> None:
    with pytest.raises(InvalidInputError, match="thread_id is empty"):
        checked_id("thread_id", "")
    assert checked_id("checkpoint_ns", "", empty=True) == ""


def test_the_length_is_bounded_and_the_bound_is_named() -> None:
    assert checked_id("thread_id", "x" * MAX_ID_CHARS)
    with pytest.raises(InvalidInputError, match=r"32,769 characters, the limit is 32,768"):
        checked_id("thread_id", "x" * (MAX_ID_CHARS + 1))


def test_an_unpaired_surrogate_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="not valid Unicode"):
        checked_id("thread_id", "a\ud800")


@pytest.mark.parametrize("config", [None, [], "t", 7])
def test_a_config_that_is_no_dict_is_refused(config: Any) -> None:
    with pytest.raises(InvalidTypeError, match=r'config must be a dict like .*"thread_id"'):
        ids.configurable_of(config)


@pytest.mark.parametrize("config", [{}, {"configurable": None}, {"configurable": {}}, {"configurable": []}])
def test_a_config_without_thread_says_what_to_pass(config: Any) -> None:
    with pytest.raises(InvalidInputError, match=r'no thread_id.*"configurable": \{"thread_id"'):
        ids.configurable_of(config)


def test_none_counts_as_absent_for_namespace_and_checkpoint() -> None:
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": None, "checkpoint_id": None}}
    assert ids.address(config) == ("t", "", "")


@pytest.mark.parametrize("value", [0, 1, 10**9, None])
def test_limits_are_numbers_of_checkpoints(value: Any) -> None:
    assert ids.checked_limit(value) == value


@pytest.mark.parametrize(
    ("value", "error"), [(-1, InvalidInputError), (True, InvalidTypeError), ("1", InvalidTypeError)]
)
def test_other_limits_are_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="limit"):
        ids.checked_limit(value)


@pytest.mark.parametrize("value", ["abc", b"abc", {"a"}, None, 7])
def test_a_list_of_ids_is_a_list(value: Any) -> None:
    with pytest.raises(InvalidTypeError, match="thread_ids must be a list of strings"):
        ids.checked_ids("thread_ids", value)


def test_the_position_of_a_wrong_id_is_named() -> None:
    with pytest.raises(InvalidTypeError, match=r"thread_ids\[1\] must be a string"):
        ids.checked_ids("thread_ids", ["a", 7])


@pytest.mark.parametrize("value", [[], "a", {1: 2}, 7])
def test_a_filter_is_a_dict_of_names(value: Any) -> None:
    with pytest.raises(InvalidTypeError, match="filter must be a dict"):
        ids.checked_filter(value)
