"""Non-JSON values come back as the stock serializer brings them back: equal, and of equal type."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from .build import ABSENT, at, get, put, successor
from .compare import shape
from .samples import MESSAGES, VALUES

STOCK = JsonPlusSerializer()


def stock(value: Any) -> Any:
    return STOCK.loads_typed(STOCK.dumps_typed(value))


def assert_same(found: Any, value: Any) -> None:
    expected = stock(value)
    assert found == expected
    assert shape(found) == shape(expected)


@pytest.mark.parametrize("name", VALUES)
async def test_channel_value_round_trip(saver: Any, name: str) -> None:
    config = await put(saver, at("t"), {"x": VALUES[name]})
    assert_same((await get(saver, config)).checkpoint["channel_values"]["x"], VALUES[name])


async def test_write_round_trip(saver: Any) -> None:
    config = await put(saver, at("t"))
    await saver.aput_writes(config, list(VALUES.items()), "task")
    pending = (await get(saver, config)).pending_writes
    assert pending is not None and [channel for _, channel, _ in pending] == list(VALUES)
    for _, channel, value in pending:
        assert_same(value, VALUES[channel])


async def test_all_types_in_one_state_after_a_change_elsewhere(saver: Any) -> None:
    first, versions = successor(saver, None, VALUES)
    config = await saver.aput(at("t"), first, {}, versions)
    second, versions = successor(saver, first, {"none": ABSENT, "int": 2})
    config = await saver.aput(config, second, {}, versions)
    found = (await get(saver, config)).checkpoint["channel_values"]
    assert "none" not in found and found["int"] == 2
    for name in VALUES.keys() - {"none", "int"}:
        assert_same(found[name], VALUES[name])


async def test_values_that_compare_equal_but_differ_in_type_are_told_apart(saver: Any) -> None:
    """`True == 1 == 1.0`: a saver that compares to find what changed must be strict in type."""
    variants: list[Any] = [
        1,
        True,
        1.0,
        [1],
        [True],
        [1.0],
        {"k": [1]},
        {"k": [True]},
        {"k": [1.0]},
        [0, 1],
        [False, 1],
    ]
    config, previous, seen = at("t"), None, []
    for variant in variants:
        made, versions = successor(saver, previous, {"x": variant, "list": [variant, "tail"]})
        config = await saver.aput(config, made, {}, versions)
        previous = made
        seen.append((config, variant))
    for config, variant in seen:
        values = (await get(saver, config)).checkpoint["channel_values"]
        assert_same(values["x"], variant)
        assert_same(values["list"], [variant, "tail"])


@pytest.mark.parametrize(
    "change",
    [
        {"content": "changed"},
        {"content": ["changed"]},
        {"additional_kwargs": {"k": 1}},
        {"additional_kwargs": {"k": True}},
        {"response_metadata": {"finish": "stop"}},
        {"name": "other"},
        {"id": "other"},
        {"tool_calls": [{"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"}]},
        {"usage_metadata": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}},
        {"extra_field": "kept"},
    ],
    ids=str,
)
async def test_an_edited_message_in_a_long_list_is_stored_edited(saver: Any, change: dict[str, Any]) -> None:
    message = MESSAGES[4].model_copy(update={"id": "m"})
    history = [message, *MESSAGES]
    first = await put(saver, at("t"), {"messages": history})
    previous = (await get(saver, first)).checkpoint
    edited = [type(message)(**{**message.model_dump(exclude={"type"}), **change}), *MESSAGES]
    second = await put(saver, first, {"messages": edited}, parent=previous)

    assert_same((await get(saver, first)).checkpoint["channel_values"]["messages"], history)
    assert_same((await get(saver, second)).checkpoint["channel_values"]["messages"], edited)
