"""A message is stored once, though a node returns it as a pending write and its reducer puts it into a list."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from stores import Tiers

from .growing import NEVER, Story, messages, tidy, words

MARKER = "nobody-else-says-this"
MB = 1024 * 1024


WAYS = [
    ("redis+pymongo", "in one batch"),
    ("redis+pymongo", "one after the other"),
    ("mongo+pymongo", "one after the other"),
]


@pytest.fixture(params=WAYS, ids=", ".join)
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def backend(way: tuple[str, str]) -> str:
    return way[0]


@pytest.fixture
def flushed(way: tuple[str, str]) -> str:
    """Whether the writes are in MongoDB before the checkpoint that follows them."""
    return way[1]


def marked(number: int = 0, **fields: Any) -> AIMessage:
    """A message whose text is easily found, without an id."""
    return AIMessage(f"{MARKER}-{number} {words(number)}", **fields)


def named(*unnamed: Any) -> list[Any]:
    """What `add_messages` does: ids for messages that have none, in place."""
    for number, one in enumerate(unnamed):
        one.id = one.id or f"named-{number}"
    return list(unnamed)


Written = Callable[[], Any]
"""Makes what a node returns, and what its reducers make of the same objects."""
CASES: dict[str, Written] = {}


def case(name: str) -> Callable[[Written], Written]:
    def keep(made: Written) -> Written:
        CASES[name] = made
        return made

    return keep


@case("a single message")
def _single() -> Any:
    new = marked()
    return [("messages", new), ("branch:to:next", None)], lambda old: {"messages": [*old, *named(new)]}


@case("a list of messages")
def _list() -> Any:
    new = [
        marked(0, tool_calls=[{"name": "f", "args": {"a": ["b"]}, "id": "1"}]),
        ToolMessage(words(1), tool_call_id="1"),
    ]
    return [("messages", new), ("n", 1)], lambda old: {"messages": [*old, *named(*new)], "n": 1}


@case("messages that have ids")
def _with_ids() -> Any:
    new = [marked(0, id="a"), HumanMessage(words(1), id="b")]
    return [("messages", new)], lambda old: {"messages": [*old, *new]}


@case("one with an id, one without")
def _mixed() -> Any:
    new = [marked(0, id="a"), HumanMessage(words(1)), HumanMessage(words(2), id="c")]
    return [("messages", new)], lambda old: {"messages": [*old, *named(*new)]}


@case("the same text twice")
def _twice() -> Any:
    new = [HumanMessage(words(1)), HumanMessage(words(1)), marked()]
    return [("messages", new)], lambda old: {"messages": [*old, *named(*new)]}


@case("two channels")
def _two_channels() -> Any:
    new, note = marked(), {"note": words(7), "rows": [1, 2.5, None, True]}
    return [("messages", [new]), ("log", [note])], lambda old: {"messages": [*old, *named(new)], "log": [note]}


@case("an update of a dictionary")
def _dict() -> Any:
    update = {"b": f"{MARKER} {words(1)}", "c": [words(2), {"deep": 1}]}
    return [("notes", update)], lambda old: {"notes": {"a": words(0), **update}}


@case("a dictionary as a whole")
def _whole_dict() -> Any:
    value = {"n": 1, "text": f"{MARKER} {words(1)}"}
    return [("result", value)], lambda old: {"result": value}


@case("a text")
def _text() -> Any:
    value = f"{MARKER} {words(1)}"
    return [("text", value)], lambda old: {"text": value}


@case("a text of 5 MB")
def _large_text() -> Any:
    value = f"{MARKER} " + "large " * (5 * MB // 6)
    return [("text", value), ("n", 1)], lambda old: {"text": value, "n": 1}


@case("a message of 5 MB")
def _large_message() -> Any:
    new = HumanMessage(f"{MARKER} " + "large " * (5 * MB // 6))
    return [("messages", new)], lambda old: {"messages": [*old, *named(new)]}


FEW = ["the same text twice", "an update of a dictionary", "a text of 5 MB"]


async def written(saver: Any, name: str, flushed: str) -> tuple[Story, str, str]:
    """A step of a graph: writes, then the checkpoint of what the reducers made; story, parent and child."""
    story = Story()
    parent = await story.put(saver, {"messages": messages(0, 5)})
    writes, reduced = CASES[name]()
    await story.write(saver, *writes)
    if flushed == "one after the other":
        await saver.aflush()
    child = await story.put(saver, reduced(messages(0, 5)))
    await tidy(saver)
    return story, parent, child


@pytest.mark.parametrize("name", CASES)
async def test_what_a_node_wrote_and_its_reducer_kept_is_stored_once(
    make_saver: Any, tiers: Tiers, name: str, flushed: str
) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story, parent, _ = await written(one, name, flushed)
        await story.check(one, two)
        assert len(tiers.holding(MARKER)) == 1, "the text is stored twice"
        assert not [found for found in tiers.holding(MARKER) if found.startswith("w/")]
        assert tiers.count("x") == (2 if "5 MB" in name else 0), "chunks that nobody needs are left"
        tiers.forget_hot()
        await story.check(two, one)
        assert all(
            one.id in (None, "a", "c", "b") for _, _, value in story.nodes[parent].writes for one in _messages(value)
        )


def _messages(value: Any) -> list[Any]:
    return [
        one for one in (value if isinstance(value, list) else [value]) if isinstance(one, (AIMessage, HumanMessage))
    ]


@pytest.mark.parametrize("name", FEW)
async def test_what_a_parents_writes_refer_to_outlives_the_child(make_saver: Any, tiers: Tiers, name: str) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story, parent, child = await written(one, name, "one after the other")
        await story.put(two, {"messages": []})
        await two.adelete_for_runs([f"run-{child}", f"run-{story.head}"])
        story.keep(parent)
        await story.check(one, two)
        await one.aprune(["t"])
        tiers.forget_hot()
        await story.check(two, one)
        assert len(tiers.holding(MARKER)) == 1
        await two.adelete_for_runs([f"run-{parent}"])
        assert not [found for found in tiers.raw() if not found.startswith("c/")], "nobody refers to these any more"


@pytest.mark.parametrize("name", FEW)
async def test_a_copy_has_its_parents_writes_whole(make_saver: Any, tiers: Tiers, name: str, flushed: str) -> None:
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        story, parent, child = await written(one, name, flushed)
        await two.acopy_thread("t", "copy")
        await two.adelete_thread("t")
        copied = story.copied("copy")
        await copied.check(one, two)
        await one.adelete_for_runs([f"run-{child}"])
        copied.keep(parent)
        await copied.check(two)


async def test_what_the_reducer_changed_is_stored_as_it_was_written(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as saver:
        story = Story()
        await story.put(saver, {"messages": messages(0, 2)})
        new = marked()
        await story.write(saver, ("messages", new), ("also", [new, marked(1)]))
        new.content += " and more"
        new.additional_kwargs["seen"] = True
        await story.put(saver, {"messages": [*messages(0, 2), *named(new)]})
        await tidy(saver)
        await story.check(saver)


async def test_a_replayed_write_with_other_content_is_still_the_first_one(make_saver: Any, tiers: Tiers) -> None:
    """The first ordinary write of a task counts, whatever a second run of the task returned."""
    async with make_saver(**NEVER) as saver:
        story = Story()
        parent = await story.put(saver, {"messages": messages(0, 2)})
        first, second = marked(1), marked(2)
        await story.write(saver, ("messages", first), task="task")
        await saver.aput_writes(story.at(parent), [("messages", second)], "task")
        await story.put(saver, {"messages": [*messages(0, 2), *named(second)]})
        await tidy(saver)
        await story.check(saver)


@pytest.mark.parametrize("known", ["another process", "this process, before it was restarted"])
async def test_the_first_write_counts_even_if_another_process_put_it(
    make_saver: Any, tiers: Tiers, known: str, flushed: str
) -> None:
    """A queue hands a task out twice: both workers write, the second one goes on."""
    story = Story()
    async with make_saver(**NEVER) as one:
        parent = await story.put(one, {"messages": messages(0, 2)})
        first, second = marked(1), marked(2)
        await story.write(one, ("messages", first), task="task")
        if flushed == "one after the other":
            await one.aflush()
        if known == "another process":
            async with make_saver(**NEVER) as two:
                await _second_run(two, story, parent, second)
                await story.check(one)
    async with make_saver(**NEVER) as two:
        if known != "another process":
            await _second_run(two, story, parent, second)
        await story.check(two)


async def _second_run(saver: Any, story: Story, parent: str, second: Any) -> None:
    await saver.aget_tuple(story.at(parent))
    await saver.aput_writes(story.at(parent), [("messages", second)], "task")
    await story.put(saver, {"messages": [*messages(0, 2), *named(copy.copy(second))]})
    await tidy(saver)
    await story.check(saver)
