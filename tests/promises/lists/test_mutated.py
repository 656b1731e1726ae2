"""Content decides, not identity: nodes mutate messages in place, and callers do with what they read as they please."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contract.build import get, listed
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from stores import Tiers

from .growing import NEVER, Story, called, exact, messages, tidy, words


def _extra(live: list[Any]) -> None:
    live[2].seen_by = ["somebody"]


def _nested_extra(live: list[Any]) -> None:
    live[2].seen_by = ["somebody"]
    live[3].__pydantic_extra__["deep"] = {"er": [1]}


def _extra_among_messages(live: list[Any]) -> None:
    live[70].seen_by = ["somebody"]


def _content_list(live: list[Any]) -> None:
    live[1].content = [{"type": "text", "text": words(1)}, {"type": "text", "text": "more"}]


MUTATIONS: dict[str, Callable[[list[Any]], Any]] = {
    "content": lambda live: setattr(live[3], "content", words(900)),
    "content of a block": lambda live: live[4].content[0].update(text=words(901)),
    "content becomes blocks": _content_list,
    "tool call argument": lambda live: live[0].tool_calls[0]["args"]["query"].append("again"),
    "deeper tool call argument": lambda live: live[0].tool_calls[0]["args"]["deep"].update(n=-1),
    "additional_kwargs": lambda live: live[0].additional_kwargs["trace"]["spans"].append(2),
    "response_metadata": lambda live: live[0].response_metadata.update(model="m"),
    "artifact": lambda live: live[5].artifact["rows"].append({"n": 2}),
    "extra attribute": _extra,
    "nested extra attribute": _nested_extra,
    "content among messages": lambda live: setattr(live[70], "content", words(902)),
    "extra attribute among messages": _extra_among_messages,
    "id": lambda live: setattr(live[3], "id", "another"),
    "element of a plain list": lambda live: live[6]["deep"].append("x"),
    "order of keys": lambda live: live[6].update(first=live[6].pop("first")),
    "true becomes 1": lambda live: live[6].update(flag=1),
}


def lively() -> list[Any]:
    """Messages and plain elements with containers in them; more than the 64 that are looked at together."""
    return [
        called(0),
        HumanMessage(words(1), id="h1"),
        *messages(2, 4),
        HumanMessage([{"type": "text", "text": words(4)}], id="h4"),
        ToolMessage(words(5), tool_call_id="call0", id="t5", artifact={"rows": [{"n": 1}]}),
        {"first": words(6), "deep": ["a"], "flag": True},
        *messages(100, 180),
    ]


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_what_was_mutated_in_place_is_stored_and_what_was_put_before_stays(
    make_saver: Any, tiers: Tiers, mutation: str
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story, live = Story(), lively()
        await story.put(one, {"messages": live})
        MUTATIONS[mutation](live)
        await story.put(one, {"messages": live})
        await story.check(one, two)
        live.append(called(7))
        await story.put(one, {"messages": live})
        old = min(story.nodes)
        for saver in (one, two):  # what was read may be mutated too
            read = (await get(saver, story.at(old))).checkpoint["channel_values"]["messages"]
            MUTATIONS[mutation](read)
            await story.check_each(saver, [old])
            await story.put(saver, {"messages": read}, parent=old)
        await tidy(one)
        tiers.forget_hot()
        await story.check(one, two)


async def test_what_is_mutated_while_it_is_put_is_stored_as_it_was_when_the_put_began(make_saver: Any) -> None:
    """With `durability="async"` the next node runs while the put is under way."""
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = Story()
        await story.put(one, {"messages": messages(0, 3)})
        await one.aflush()
        live = messages(0, 4)
        story.begun.clear()
        put = asyncio.create_task(story.put(one, {"messages": live}))
        await story.begun.wait()
        for one_message in live:
            one_message.content = "changed later " * 30
        await put
        await story.check(one, two)


async def test_what_was_mutated_before_it_could_be_serialised_is_not_taken_for_what_it_was(make_saver: Any) -> None:
    """The parent was deleted, so all is stored, late; who then puts the original must not get the mutated one."""
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story = Story()
        old = await story.put(one, {"messages": messages(0, 3)})
        await one.aflush()
        await two.adelete_for_runs([f"run-{old}"])
        live = messages(0, 4)
        story.begun.clear()
        put = asyncio.create_task(story.put(one, {"messages": live}))
        await story.begun.wait()
        live[0].content = "changed later " * 30
        middle = await put
        new = await story.put(one, {"messages": messages(0, 5)})
        story.forget(old)
        story.forget(middle)
        await story.check_each(one, [new])
        await story.check_each(two, [new])


def objects(value: Any) -> Iterator[Any]:
    """Everything in a value that can be changed."""
    if isinstance(value, BaseMessage):
        yield value
        yield value.__pydantic_fields_set__
        yield from objects(value.__dict__)
        yield from objects(value.__pydantic_extra__)
    elif isinstance(value, dict):
        yield value
        for item in value.values():
            yield from objects(item)
    elif isinstance(value, (list, tuple)):
        if isinstance(value, list):
            yield value
        for item in value:
            yield from objects(item)


def spoil(value: Any) -> None:
    """Changes everything that can be changed."""
    for found in list(objects(value)):
        if isinstance(found, BaseMessage):
            found.content, found.id = "spoilt", "spoilt"
            found.spoilt = True
        elif isinstance(found, dict):
            found["spoilt"] = True
        elif isinstance(found, list):
            found.append("spoilt")
        else:
            found.add("spoilt")


@pytest.mark.parametrize("decoded_max_bytes", [64 * 2**20, 20_000, 0])
async def test_what_a_reader_does_to_what_it_got_changes_no_later_read(
    make_saver: Any, tiers: Tiers, decoded_max_bytes: int
) -> None:
    async with make_saver(**NEVER, decoded_max_bytes=decoded_max_bytes) as saver:
        story, live = Story(), lively()
        _nested_extra(live)
        live.append(AIMessage("", id="e", usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}))
        first = await story.put(saver, {"messages": live, "notes": {"a": live[0], "b": {"c": [words(1)]}}})
        await story.write(saver, ("messages", [live[0], live[5]]), ("one", live[1]), to=first)
        for _ in range(3):
            for found in (
                await get(saver, story.at()),
                await get(saver, story.at(first)),
                *await listed(saver, story.at()),
            ):
                exact(found, story.nodes[first])
                spoil([found.checkpoint, found.metadata, found.pending_writes, found.config])
            await saver.aflush()
            tiers.forget_hot()
        assert live[0].tool_calls[0]["args"] == {"query": ["0"], "deep": {"n": 0}}, "nor what was put"


async def test_two_reads_share_no_object(make_saver: Any) -> None:
    async with make_saver(**NEVER) as saver:
        story, live = Story(), lively()
        _nested_extra(live)
        await story.put(saver, {"messages": [*live, live[0]], "notes": {"a": live[0], "b": live[1]}})
        await story.write(saver, ("messages", live[:6]))
        reads = [await get(saver, story.at()) for _ in range(3)] + await listed(saver, story.at())
        held = [[id(found) for found in objects((read.checkpoint, read.pending_writes))] for read in reads]
        assert all(len(set(one)) == len(one) for one in held), "nor two places of one read"
        assert len(set().union(*held)) == sum(map(len, held))
        assert not {id(found) for found in objects(live)} & set().union(*held)
