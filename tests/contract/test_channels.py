"""Channel values: what is new is stored, what is unchanged is found, what is missing stays missing."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from .build import ABSENT, at, checkpoint, get, listed, meta, put, successor, values_at


async def test_unchanged_channels_are_loaded_from_earlier_versions(saver: Any) -> None:
    first = await put(saver, at("t"), {"big": ["unchanged"] * 50, "step": 0})
    previous = (await get(saver, first)).checkpoint
    config = first
    for step in range(1, 6):
        made, versions = successor(saver, previous, {"step": step})
        assert set(versions) == {"step"}
        config = await saver.aput(config, made, meta(step=step), versions)
        previous = made
    assert await values_at(saver, config) == {"big": ["unchanged"] * 50, "step": 5}


async def test_empty_list_none_and_missing_channel_are_three_things(saver: Any) -> None:
    made, versions = successor(saver, None, {"empty": [], "none": None, "missing": ABSENT, "zero": 0, "dict": {}})
    config = await saver.aput(at("t"), made, meta(), versions)
    found = (await get(saver, config)).checkpoint
    assert found["channel_values"] == {"empty": [], "none": None, "zero": 0, "dict": {}}
    assert "missing" in found["channel_versions"]
    (from_list,) = await listed(saver, at("t"))
    assert from_list.checkpoint == found


async def test_a_channel_can_be_removed_and_come_back(saver: Any) -> None:
    config, previous, seen = at("t"), None, []
    for change in ([1, 2], ABSENT, [], [1, 2, 3], ABSENT, None):
        made, versions = successor(saver, previous, {"x": change})
        config = await saver.aput(config, made, meta(), versions)
        seen.append((config, {} if change is ABSENT else {"x": change}))
        previous = made
    for config, expected in seen:
        assert await values_at(saver, config) == expected


async def test_a_channel_can_change_its_type(saver: Any) -> None:
    config, previous, seen = at("t"), None, []
    for change in ([1], {"a": [1]}, "text", [1, 2], {"a": [1], "b": 2}, 3, [3], [[1], [2]]):
        made, versions = successor(saver, previous, {"x": change})
        config = await saver.aput(config, made, meta(), versions)
        seen.append((config, change))
        previous = made
    for config, change in seen:
        value = (await values_at(saver, config))["x"]
        assert value == change and type(value) is type(change)


async def test_odd_channel_names_stay_apart(saver: Any) -> None:
    names = ["a", "a.b", "a.b.c", "$a", "$set", "", "a:b", "a|b", "a b", "*", "{a}", "a\nb", "é", "é".encode().hex()]
    names += ["a\0b", "__start__", "branch:to:node", "_id", "x" * 2_000, "\U0001f600"]
    made, versions = successor(saver, None, {name: [name] for name in names})
    config = await saver.aput(at("t"), made, meta(), versions)
    await saver.aput_writes(config, [(name, name) for name in names], "task")
    found = await get(saver, config)
    assert found.checkpoint["channel_values"] == {name: [name] for name in names}
    assert found.pending_writes == [("task", name, name) for name in names]


async def test_mutating_the_state_right_after_put_does_not_change_what_is_stored(saver: Any) -> None:
    message = AIMessage("before", id="m", additional_kwargs={"k": ["before"]})
    value = {"messages": [HumanMessage("hi", id="h"), message], "nested": {"list": [1, {"deep": [1]}]}}
    metadata = meta(tags=["before"])
    made, versions = successor(saver, None, value)
    config = await saver.aput(at("t"), made, metadata, versions)

    message.content = "after"
    message.additional_kwargs["k"].append("after")
    value["messages"].append("after")
    value["nested"]["list"][1]["deep"].append("after")
    made["channel_values"]["new"] = "after"
    made["channel_versions"]["new"] = "after"
    metadata["tags"].append("after")

    found = await get(saver, config)
    stored = found.checkpoint["channel_values"]
    assert set(stored) == {"messages", "nested"}
    assert [m.content for m in stored["messages"]] == ["hi", "before"]
    assert stored["messages"][1].additional_kwargs == {"k": ["before"]}
    assert stored["nested"] == {"list": [1, {"deep": [1]}]}
    assert "new" not in found.checkpoint["channel_versions"]
    assert found.metadata["tags"] == ["before"]


async def test_mutating_a_value_in_place_between_puts_keeps_both_states(saver: Any) -> None:
    message = AIMessage("one", id="m")
    messages: list[Any] = [message]
    first = await put(saver, at("t"), {"messages": messages})
    previous = checkpoint({"messages": messages}, (await get(saver, first)).checkpoint["channel_versions"])
    message.content = "two"
    messages.append(HumanMessage("new", id="n"))
    second = await put(saver, first, {"messages": messages}, parent=previous)

    assert [m.content for m in (await values_at(saver, first))["messages"]] == ["one"]
    assert [m.content for m in (await values_at(saver, second))["messages"]] == ["two", "new"]


async def test_mutating_writes_after_put_writes_does_not_change_what_is_stored(saver: Any) -> None:
    config = await put(saver, at("t"))
    value = {"list": [1]}
    writes = [("x", value)]
    await saver.aput_writes(config, writes, "task")
    value["list"].append(2)
    writes.append(("y", 1))
    assert (await get(saver, config)).pending_writes == [("task", "x", {"list": [1]})]


async def test_mutating_what_was_read_does_not_change_what_is_stored(saver: Any) -> None:
    config = await put(saver, at("t"), {"messages": [AIMessage("kept", id="m")], "d": {"k": [1]}}, meta(tags=["a"]))
    await saver.aput_writes(config, [("x", [1])], "task")
    for _ in range(2):
        found = await get(saver, config)
        values = found.checkpoint["channel_values"]
        assert [m.content for m in values["messages"]] == ["kept"]
        assert values["d"] == {"k": [1]}
        assert found.metadata["tags"] == ["a"]
        assert found.pending_writes == [("task", "x", [1])]
        values["messages"][0].content = "changed"
        values["messages"].append("more")
        values["d"]["k"].append(2)
        found.metadata["tags"].append("b")
        found.pending_writes[0][2].append(2)
        found.checkpoint["channel_versions"].clear()


async def test_a_growing_message_list_reads_back_whole_at_every_length(saver: Any) -> None:
    config, previous, configs = at("t"), None, []
    messages: list[Any] = []
    for n in range(40):
        messages = [*messages, HumanMessage(f"q{n}", id=f"h{n}"), AIMessage(f"a{n}", id=f"a{n}")]
        made, versions = successor(saver, previous, {"messages": messages})
        config = await saver.aput(config, made, meta(step=n), versions)
        configs.append(config)
        previous = made
    for n in (0, 1, 17, 39):
        assert (await values_at(saver, configs[n]))["messages"] == messages[: 2 * (n + 1)]
    assert [len(found.checkpoint["channel_values"]["messages"]) for found in await listed(saver, at("t"))] == list(
        range(80, 0, -2)
    )


async def test_delta_snapshots_come_back_as_delta_snapshots(saver: Any) -> None:
    config = await put(saver, at("t"), {"log": _DeltaSnapshot([1, 2]), "plain": [1, 2]})
    stored = await values_at(saver, config)
    assert type(stored["log"]) is _DeltaSnapshot and stored["log"].value == [1, 2]
    assert type(stored["plain"]) is list


async def test_large_values_come_back_whole(saver: Any) -> None:
    big = "x" * 3_000_000
    config = await put(saver, at("t"), {"one": big, "many": [big[:500_000] + str(n) for n in range(6)]})
    await saver.aput_writes(config, [("one", big)], "task")
    found = await get(saver, config)
    assert found.checkpoint["channel_values"]["one"] == big
    assert [value[500_000:] for value in found.checkpoint["channel_values"]["many"]] == list("012345")
    assert found.pending_writes == [("task", "one", big)]
