"""Equal fingerprints mean equal bytes: a change that the serde would store is never taken for none."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from contract.samples import MESSAGES, VALUES, Colour, Level, Mode, Note, Person, Point, Tags
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from langgraph_session_bridge.checkpoint.fingerprints import WIDTH, Fingerprints

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer")

STOCK = JsonPlusSerializer()
PRINTS = Fingerprints(STOCK)


class Text(str):
    """A string that is not quite a string."""


class Keyed(dict[str, Any]):
    """A dictionary that is not quite one."""


class Loud(HumanMessage):
    """A message class of a user's own."""


class Thing:
    """What no serde takes."""


def written(serde: SerializerProtocol, value: Any) -> Any:
    try:
        return serde.dumps_typed(value)
    except Exception as error:
        return type(error)


def taken(prints: Fingerprints, value: Any) -> Any:
    try:
        return prints.of(value)
    except Exception as error:
        return type(error)


numbers = [True, False, 0, 1, -1, 2**63, 2**64, 2**70, 0.0, -0.0, 1.0, float("nan"), float("inf"), Level.HIGH, 3]
texts = ["", "1", "a", "\ud800", "é", b"", b"a", b"1", bytearray(b"a"), Text("a"), Colour.RED, "red", Mode.FAST, "fast"]
containers = [
    (1,),
    (),
    {1},
    Note("a"),
    Person(name="a", address={"street": "s"}),
    Point(1, "a"),
    Tags(["a"]),
    Keyed(a=1),
]
scalars = st.sampled_from([None, *numbers, *texts, *containers, Thing()])
keys = st.sampled_from(["a", "b", "1", "", Text("a"), 1, True, 1.0, None, b"a", (1,), Mode.FAST])
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(keys, inner, max_size=2),
        st.tuples(inner),
        st.lists(inner, max_size=2).map(_DeltaSnapshot),
    ),
    max_leaves=4,
)
contents = st.sampled_from(["", "a", Text("a"), ["a"], [{"type": "text", "text": "a"}]])
extras = st.dictionaries(st.sampled_from(["a", "b"]), nested, max_size=1)


def build(cls: type[BaseMessage], content: Any, kwargs: dict[str, Any], id: Any, late: dict[str, Any]) -> BaseMessage:
    required = {"role": "user"} if cls is ChatMessage else {"name": "f"} if cls is FunctionMessage else {}
    required |= {"tool_call_id": "c"} if cls is ToolMessage else {}
    made = cls(**required, id=id, **({} if cls is RemoveMessage else {"content": content}))
    made.additional_kwargs = kwargs
    for name, value in late.items():
        setattr(made, name, value)
    return made


CLASSES = [AIMessage, AIMessageChunk, ChatMessage, FunctionMessage, HumanMessage, SystemMessage, ToolMessage]
messages = st.builds(
    build,
    st.sampled_from([*CLASSES, Loud, HumanMessageChunk, RemoveMessage]),
    contents,
    extras,
    st.sampled_from(["a", "b"]),
    st.dictionaries(st.sampled_from(["response_metadata", "extra", "name"]), nested, max_size=1),
)
values = messages | nested | st.lists(messages, max_size=2) | st.dictionaries(st.just("m"), messages, max_size=1)


@given(st.lists(values, min_size=2, max_size=12))
def test_equal_fingerprints_mean_equal_bytes(many: list[Any]) -> None:
    bytes_of: dict[Any, Any] = {}
    for value in many:
        mark = taken(PRINTS, value)
        stored = written(STOCK, value)
        assert bytes_of.setdefault(mark, stored) == stored


@given(values)
def test_a_fingerprint_is_taken_of_whatever_the_serde_takes_and_of_nothing_else(value: Any) -> None:
    mark, stored = taken(PRINTS, value), written(STOCK, value)
    if isinstance(stored, type):
        assert mark is stored, "the same error"
    else:
        assert len(mark) == WIDTH


@given(values)
def test_a_copy_has_the_same_fingerprint(value: Any) -> None:
    assert taken(PRINTS, copy.deepcopy(value)) == taken(PRINTS, value)


@given(st.lists(messages | nested, max_size=70))
def test_those_of_many_are_those_of_each(many: list[Any]) -> None:
    each = [taken(PRINTS, value) for value in many]
    if all(isinstance(mark, bytes) for mark in each):
        assert PRINTS.of_list(many).each == b"".join(each)
    else:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            PRINTS.of_list(many)
        assert caught.type is next(mark for mark in each if isinstance(mark, type))


long_lists = st.lists(st.sampled_from([*MESSAGES, *range(40), b"a", bytearray(b"a"), "a", {"a": 1}]), max_size=200)
edits = st.lists(st.tuples(st.integers(0, 200), st.sampled_from([*MESSAGES, True, 1.0, b"a", None])), max_size=3)


@given(long_lists | st.integers(0, 200).map(lambda count: [HumanMessage(f"{n}") for n in range(count)]), edits)
def test_what_was_known_of_another_list_changes_nothing(old: list[Any], changes: list[tuple[int, Any]]) -> None:
    new = list(old)
    for at, value in changes:
        new[at : at + at % 2] = [value]
    fresh = PRINTS.of_list(new)
    assert PRINTS.of_list(new, PRINTS.of_list(old)) == fresh
    assert fresh.each == b"".join(map(PRINTS.of, new))
    assert PRINTS.of_list(new[:-1], fresh).each == fresh.each[: max(len(new) - 1, 0) * WIDTH]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
@pytest.mark.parametrize("odd", [None, 0, -1])
def test_those_of_many_messages_are_those_of_each(count: int, odd: int | None) -> None:
    many: list[Any] = [HumanMessage(f"m{number}") for number in range(count)]
    for other in (
        AIMessage("x", extra=1),
        {"role": "user"},
        Loud("x"),
        ToolMessage("x", tool_call_id="", artifact={1}),
    ):
        if count and odd is not None:
            many[odd] = other
        assert PRINTS.of_list(many).each == b"".join(map(PRINTS.of, many))


ALIKE: list[tuple[Any, Any]] = [
    (1, True),
    (1, 1.0),
    (0, False),
    (0.0, -0.0),
    ("1", 1),
    (None, False),
    ("", None),
    ("a", b"a"),
    (b"a", bytearray(b"a")),
    ("red", Colour.RED),
    ("fast", Mode.FAST),
    (3, Level.HIGH),
    ([1], (1,)),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"1": 1}, {1: 1}),
    ({1}, [1]),
    ([1, 2], [[1], 2]),
    ([], {}),
    ([HumanMessage("a", id="1")], HumanMessage("a", id="1")),
    (HumanMessage("a", id="1"), HumanMessage("a", id="1").model_dump()),
    (_DeltaSnapshot([1]), [1]),
]


def near(value: Any) -> list[Any]:
    return [value, [value], {"k": value}, [[value], "x"], {"k": {"l": [value]}}]


@pytest.mark.parametrize("pair", ALIKE, ids=lambda pair: f"{pair[0]!r} {pair[1]!r}"[:60])
def test_what_is_stored_differently_differs_wherever_it_is(pair: tuple[Any, Any]) -> None:
    for one, other in zip(*map(near, pair), strict=True):
        if written(STOCK, one) != written(STOCK, other):
            assert PRINTS.of(one) != PRINTS.of(other)
            assert PRINTS.of_list([other], PRINTS.of_list([one])).each == PRINTS.of(other)
        for outer in ({"additional_kwargs": {"k": one}}, {"artifact": one}):
            first, second = ToolMessage("t", tool_call_id="c", **outer), ToolMessage("t", tool_call_id="c")
            for name in outer:
                setattr(second, name, {"k": other} if name == "additional_kwargs" else other)
            if written(STOCK, first) != written(STOCK, second):
                assert PRINTS.of(first) != PRINTS.of(second)


@pytest.mark.parametrize("name", VALUES)
def test_every_kind_of_value_has_a_fingerprint_that_a_copy_has_too(name: str) -> None:
    value = VALUES[name]
    assert PRINTS.of(value) == PRINTS.of(copy.deepcopy(value))
    assert sum(PRINTS.of(value) == PRINTS.of(other) for other in VALUES.values()) == 1


MUTATIONS: dict[str, Callable[[Any], Any]] = {
    "content": lambda m: setattr(m, "content", "other"),
    "a content block": lambda m: m.content[0].update(text="other"),
    "one more block": lambda m: m.content.append("x"),
    "id": lambda m: setattr(m, "id", "other"),
    "name": lambda m: setattr(m, "name", "other"),
    "additional_kwargs": lambda m: m.additional_kwargs.update(k=1),
    "additional_kwargs, deeper": lambda m: m.additional_kwargs["deep"]["er"].append(2),
    "response_metadata": lambda m: m.response_metadata.update(k=1),
    "tool call arguments": lambda m: m.tool_calls[0]["args"]["list"].append(2),
    "tool call id": lambda m: m.tool_calls[0].update(id="other"),
    "one tool call less": lambda m: m.tool_calls.clear(),
    "invalid tool calls": lambda m: m.invalid_tool_calls.append({"name": "x"}),
    "usage": lambda m: m.usage_metadata.update(input_tokens=9),
    "an extra field": lambda m: setattr(m, "extra", {"a": 1}),
    "True for 1": lambda m: m.additional_kwargs.update(one=True),
}


def rich() -> AIMessage:
    return AIMessage(
        content=[{"type": "text", "text": "a"}],
        id="1",
        additional_kwargs={"deep": {"er": [1]}, "one": 1},
        tool_calls=[{"name": "f", "args": {"list": [1]}, "id": "call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
    )


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_message_that_was_changed_in_place_differs(what: str) -> None:
    message = rich()
    before, known, stored = PRINTS.of(message), PRINTS.of_list([message]), STOCK.dumps_typed(message)
    MUTATIONS[what](message)
    assert STOCK.dumps_typed(message) != stored
    assert PRINTS.of(message) != before
    assert PRINTS.of_list([message], known).each == PRINTS.of(message)


def test_an_extra_field_is_seen_when_it_comes_changes_and_is_no_field_of_the_class() -> None:
    one, other, field = HumanMessage("a", extra=[1]), HumanMessage("a", extra=[2]), HumanMessage("a")
    field.__dict__["extra"] = [1]
    assert len({PRINTS.of(message) for message in (one, other, field, HumanMessage("a"))}) == 4
    before = PRINTS.of(one)
    one.extra.append(3)  # type: ignore[attr-defined]
    assert PRINTS.of(one) != before


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda: Note("a", ["x"]), lambda artifact: artifact.tags.append("y")),
        (lambda: Person(name="a", address={"street": "s"}), lambda artifact: setattr(artifact.address, "street", "t")),
        (lambda: {"rows": [{1}]}, lambda artifact: artifact["rows"][0].add(2)),
        (lambda: Tags(["a"]), lambda artifact: artifact.append("b")),
        (lambda: defaultdict(list, {"a": [1]}), lambda artifact: artifact["a"].append(2)),
        (lambda: OrderedDict(a=1), lambda artifact: artifact.update(a=2)),
        (lambda: [HumanMessage("a")], lambda artifact: setattr(artifact[0], "content", "b")),
    ],
)
def test_an_artifact_that_was_changed_in_place_differs(make: Callable[[], Any], change: Callable[[Any], Any]) -> None:
    message = ToolMessage("t", tool_call_id="c", artifact=make())
    before = PRINTS.of(message)
    assert PRINTS.of(ToolMessage("t", tool_call_id="c", artifact=make())) == before
    change(message.artifact)
    assert PRINTS.of(message) != before


def test_classes_with_the_same_fields_differ() -> None:
    many = [HumanMessage("a", id="1"), SystemMessage("a", id="1"), Loud("a", id="1"), HumanMessageChunk(content="a")]
    for message in many[1:]:
        message.__dict__.update(many[0].__dict__)
    assert all(message.__dict__ == many[0].__dict__ for message in many)
    assert len({PRINTS.of(message) for message in many}) == len(many)
    for message in many:
        assert PRINTS.of_list([message], PRINTS.of_list(many[:1])).each == PRINTS.of(message)
    for message in many:
        message.extra = 1  # type: ignore[attr-defined]
    assert len({PRINTS.of(message) for message in many}) == len(many)


def test_messages_of_every_class_are_told_apart() -> None:
    assert len({PRINTS.of(message) for message in MESSAGES}) == len(MESSAGES)


@pytest.mark.parametrize("value", [rich(), {"a": [1]}, {1, 2}, "text", b"bytes", None, Note("a")])
@pytest.mark.parametrize("layers", [1, 2])
def test_encryption_does_not_hide_that_values_are_equal(value: Any, layers: int) -> None:
    serde: SerializerProtocol = JsonPlusSerializer()
    for _ in range(layers):
        serde = EncryptedSerializer.from_pycryptodome_aes(serde, key=b"0" * 16)
    assert serde.dumps_typed(value) != serde.dumps_typed(value)
    prints = Fingerprints(serde)
    assert prints.of(value) == prints.of(copy.deepcopy(value)) == PRINTS.of(value)
    assert prints.of(value) != prints.of([value])


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value], lambda value: {"a": value}])
def test_what_cannot_be_stored_is_refused_as_the_serde_refuses_it(wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError) as expected:
        STOCK.dumps_typed(wrap(Thing()))
    for take in (PRINTS.of, lambda value: PRINTS.of_list([value])):
        with pytest.raises(expected.type) as caught:
            take(wrap(Thing()))
        assert str(caught.value) == str(expected.value)


def test_what_is_pickled_is_compared_as_its_pickle() -> None:
    prints = Fingerprints(JsonPlusSerializer(pickle_fallback=True))
    assert prints.of([Thing()]) == prints.of([Thing()])
    assert prints.of([Thing()]) != prints.of([Thing(), Thing()])


class Json(SerializerProtocol):
    """A serde of the user's own, which sees no difference between upper and lower case."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return type(obj).__name__, json.dumps(obj, sort_keys=True, default=str).lower().encode()

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return json.loads(data[1])


class Narrow(JsonPlusSerializer):
    """The stock serde with a twist: what it writes decides, not what it inherits."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return super().dumps_typed(str(obj)[:3])


def test_another_serde_decides_what_is_equal() -> None:
    prints = Fingerprints(Json())
    assert prints.of({"a": "X"}) == prints.of({"A": "x"})
    assert prints.of([1]) != prints.of((1,)), "the name of the type is stored too"
    assert prints.of("a") != prints.of("b")
    assert prints.without_id(HumanMessage("a", id="1")) is None
    narrow = Fingerprints(Narrow())
    assert narrow.of("abcd") == narrow.of("abce") != narrow.of("abd")
    assert narrow.of_list(["abcd", "x"]).each == narrow.of("abcx") + narrow.of("x")


def test_the_fingerprint_that_a_message_had_before_it_was_named() -> None:
    for message in MESSAGES:
        bare = copy.deepcopy(message)
        bare.id = None
        named = copy.deepcopy(message)
        named.id = "a-name"
        assert PRINTS.without_id(named) == PRINTS.of(bare) != PRINTS.of(named)
        assert named.id == "a-name"


@pytest.mark.parametrize(
    "value",
    [{"id": "1", "content": "a"}, "text", None, Loud("a", id="1"), HumanMessage("a", id="1", extra=1), Thing()],
)
def test_only_plain_messages_are_named_later(value: Any) -> None:
    assert PRINTS.without_id(value) is None


def test_a_message_that_is_not_plain_inside_has_no_earlier_fingerprint() -> None:
    assert PRINTS.without_id(ToolMessage("a", tool_call_id="c", id="1", artifact={1})) is None
