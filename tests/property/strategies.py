"""Small states and the changes a graph makes to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from contract.build import ABSENT
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT, RESUME, _DeltaSnapshot

Change = Callable[[Any], Any]  # the old value of a channel (or ABSENT) to the new one

messages = st.builds(
    lambda kind, content, id: kind(content, id=id),
    st.sampled_from([HumanMessage, AIMessage]),
    st.text(max_size=5),
    st.sampled_from(["a", "b", "c", None]),
)
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 1.5]) | st.text(max_size=3)
elements = messages | scalars | st.dictionaries(st.text(max_size=2), scalars, max_size=2)
values = (
    scalars
    | st.lists(elements, max_size=4)
    | st.dictionaries(st.text(max_size=2), elements, max_size=3)
    | st.binary(max_size=4)
    | st.sets(st.integers(0, 3), max_size=3)
    | st.just((1, 2)).map(lambda pair: [pair])
)


def _items(old: Any) -> list[Any]:
    return list(old) if isinstance(old, list) else []


def _edited(old: Any, index: int, element: Any) -> list[Any]:
    items = _items(old)
    if items:
        items[index % len(items)] = element
    return items


list_changes: st.SearchStrategy[Change] = st.one_of(
    st.lists(elements, min_size=1, max_size=3).map(lambda new: lambda old: [*_items(old), *new]),
    st.builds(lambda i, e: lambda old: _edited(old, i, e), st.integers(0, 9), elements),
    st.builds(lambda i, e: lambda old: [*_items(old)[:i], e, *_items(old)[i:]], st.integers(0, 9), elements),
    st.integers(0, 4).map(lambda n: lambda old: _items(old)[n:]),
    st.integers(1, 4).map(lambda n: lambda old: _items(old)[:-n]),
    st.just(lambda old: [*_items(old), *_items(old)]),
    st.just(lambda old: _items(old)[::-1]),
)
other_changes: st.SearchStrategy[Change] = st.one_of(
    values.map(lambda value: lambda old: value),
    st.just(lambda old: ABSENT),
    st.lists(scalars, max_size=2).map(lambda items: lambda old: _DeltaSnapshot(items)),
)

changes = st.dictionaries(st.sampled_from(["messages", "notes"]), list_changes, max_size=2).flatmap(
    lambda lists: st.dictionaries(st.sampled_from(["x", "messages", "a.b$"]), other_changes, max_size=1).map(
        lambda others: {**lists, **others}
    )
)

write_lists = st.lists(
    st.tuples(st.sampled_from(["messages", "x", INTERRUPT, RESUME, ERROR]), values), min_size=0, max_size=4
)
task_ids = st.sampled_from(["task-1", "task-2", "task-10", "a:b"])
task_paths = st.sampled_from(["", "~__pregel_pull, a", "~__pregel_push, 0000000002", "é"])

RUNS = ("run-1", "run-2", "run-3")
metadata = st.fixed_dictionaries(
    {"source": st.sampled_from(["input", "loop", "update"]), "step": st.integers(-1, 3)},
    optional={"run": st.sampled_from(RUNS), "tags": st.sampled_from(["a", ["a"], ["a", "b"], {"a": 1}, None, True, 1])},
)
filters = st.dictionaries(st.just("source"), st.sampled_from(["input", "loop", {"$ne": 1}]), max_size=1).flatmap(
    lambda source: st.dictionaries(
        st.just("tags"), st.sampled_from(["a", ["a"], {"a": 1}, None, 1, {"$exists": True}]), max_size=1
    ).map(lambda tags: {**source, **tags})
)
