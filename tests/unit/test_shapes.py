"""Taking apart and putting together: what comes back is what the serde would have returned whole."""

from __future__ import annotations

import pickle
from collections import OrderedDict, deque
from typing import Any

import pytest
from contract.compare import shape as types_of
from contract.samples import MESSAGES, VALUES, Mode, Note, Point, Tags
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from langgraph_session_bridge.checkpoint.shapes import put_together, take_apart

SERDE = JsonPlusSerializer()


class Text(str):
    """A string that is not quite a string."""


class Pickles(SerializerProtocol):
    """A serde that gives back just what it got."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return "own", pickle.dumps(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return pickle.loads(data[1])


def through(serde: SerializerProtocol, value: Any) -> Any:
    return serde.loads_typed(serde.dumps_typed(value))


def by_element(serde: SerializerProtocol, value: Any) -> Any:
    found = take_apart(value)
    if found is None:  # stays whole
        return through(serde, value)
    shape, elements = found
    return put_together(shape, [through(serde, element) for element in elements], serde)


leaves = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3)
leaves |= st.sampled_from([*MESSAGES, b"a", Note("a"), Mode.FAST, Point(1, "a"), {1}, frozenset({2}), deque([1])])
nested = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=6,
)
apart = (
    st.lists(nested, max_size=4)
    | st.dictionaries(st.text(max_size=3), nested, max_size=4)
    | st.lists(nested, max_size=4).map(tuple)
    | st.lists(nested, max_size=4).map(_DeltaSnapshot)
)


@pytest.mark.parametrize("serde", [SERDE, Pickles()], ids=["stock", "own"])
@given(value=apart)
def test_by_element_a_value_comes_back_as_it_would_whole(serde: SerializerProtocol, value: Any) -> None:
    whole, found = through(serde, value), by_element(serde, value)
    assert found == whole
    assert types_of(found) == types_of(whole)
    if isinstance(whole, dict):
        assert list(found) == list(whole), "keys keep their order"


@pytest.mark.parametrize("value", [[], {}, (), _DeltaSnapshot([])], ids=repr)
def test_nothing_inside_comes_back_too(value: Any) -> None:
    assert by_element(SERDE, value) == through(SERDE, value)
    assert type(by_element(SERDE, value)) is type(through(SERDE, value))


@pytest.mark.parametrize(
    "value",
    [
        Tags(["a"]),
        OrderedDict(a=1),
        {1: "a"},
        {"a": 1, None: 2},
        {Mode.FAST: 1},
        {Text("a"): 1},
        {("a",): 1},
        Point(1, "a"),
        _DeltaSnapshot({"a": 1}),
        _DeltaSnapshot((1,)),
        _DeltaSnapshot(Tags(["a"])),
        deque([1]),
        {1, 2},
        frozenset({1}),
        "text",
        b"bytes",
        bytearray(b"bytes"),
        range(3),
        None,
        1,
        HumanMessage("a"),
        Note("a", ["b"]),
    ],
    ids=repr,
)
def test_whatever_the_serde_may_treat_as_something_else_is_left_whole(value: Any) -> None:
    assert take_apart(value) is None


@pytest.mark.parametrize(
    ("value", "shape"), [([1], "list"), ({"a": 1}, "dict"), ((1,), "tuple"), (_DeltaSnapshot([1]), "delta")], ids=repr
)
def test_shapes_are_told_apart(value: Any, shape: str) -> None:
    found = take_apart(value)
    assert found is not None and found[0] == shape


def test_elements_are_taken_at_once() -> None:
    """The caller goes on with the container."""
    held: list[Any] = [[1, 2], {"a": 1}, _DeltaSnapshot([1, 2])]
    found = [take_apart(value) for value in held]
    held[0].append(3)
    held[1]["b"] = 2
    held[2].value.clear()
    assert found == [("list", [1, 2]), ("dict", [["a", 1]]), ("delta", [1, 2])]


@pytest.mark.parametrize("name", sorted(VALUES))
def test_every_kind_of_value_comes_back_from_inside_a_list_and_a_dictionary(name: str) -> None:
    for value in ([VALUES[name], "x"], {"a": VALUES[name], "b": 1}):
        assert by_element(SERDE, value) == through(SERDE, value)
        assert types_of(by_element(SERDE, value)) == types_of(through(SERDE, value))
