"""What is kept of a value: size and hash of all of it, and no secret, wherever it is cut."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import OrderedDict, UserDict, deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, SecretStr

from langgraph_session_bridge.errors import ConfigurationError
from langgraph_session_bridge.records.capture.capture import REDACTION_FAILED, Capture
from unit.secret_shapes import shapes

FULL = Capture(level="full")
KEY = "sk-" + "abcd1234" * 5


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _shown(value: Any, capture: Capture = FULL, key: str = "") -> str:
    text = capture.take(value, key=key).text
    assert text is not None
    return text


def _fragments(secret: str) -> list[str]:
    """Pieces of a secret that cannot be found by chance."""
    return [secret[at : at + 8] for at in range(max(1, len(secret) - 7))]


# Text around a secret that is no part of one: nothing in it is a piece of a secret.
_around = st.text(" \n\t.,;äß漢🙂", max_size=40)
_filler = st.integers(0, 3000).map(lambda length: ("· " * length)[:length])


_joints = st.sampled_from([" ", "\n", "\t", '"', "'", "=", ":", ",", "ä", "漢", "(", "%20", "_"])


@given(before=_around, filler=_filler, joint=_joints, secret=shapes, after=_around, limit=st.integers(0, 4000))
def test_no_secret_survives_wherever_it_is_cut(
    before: str, filler: str, joint: str, secret: tuple[str, str], after: str, limit: int
) -> None:
    whole, inner = secret
    text = f"{filler}{before}{joint}{whole} {after}"
    value = {"note": [text, json.dumps({"inner": text}), json.dumps(json.dumps([text]))]}
    capture = Capture(level="full", max_value_bytes=limit)
    for kept in (_shown(text, capture), _shown(value, capture), _shown(value), _shown(text, Capture())):
        assert not any(fragment in kept for fragment in _fragments(inner))


@given(secret=shapes, length=st.integers(0, 400), count=st.integers(1, 60))
def test_a_text_full_of_secrets_is_redacted_to_its_end(secret: tuple[str, str], length: int, count: int) -> None:
    text = f"{'·' * length} {secret[0]} " * count
    for chars in (64, 256, 2000):
        kept = _shown(text, Capture(digest_chars=chars))
        assert not any(fragment in kept for fragment in _fragments(secret[1]))


@pytest.mark.parametrize("shrunk", [1900, 2040, 2200, 5000])
def test_a_secret_that_a_window_shows_in_part_does_not_survive(shrunk: int) -> None:
    """A long secret makes the redacted text so short that the end of what was looked at is kept."""
    for offset in range(0, 400, 3):
        text = f"sk-{'a' * shrunk} {'·' * offset} mongodb://ann:{'Q1' * 60}@db {KEY}"
        taken = Capture(digest_chars=256).take(text)
        assert taken.text == f"<redacted> {'·' * offset} mongodb://ann:<redacted>@db <redacted>"[:256]
        assert taken.truncated == (offset > 256 - 51)


@pytest.mark.parametrize("before", ["\n", "\t", "\\n", "%20", "%0A", "\u00e4", "\\u00e4", "=", '"', "_"])
def test_a_secret_is_seen_behind_an_escape(before: str) -> None:
    assert "abcd1234" not in _shown(f"a{before}{KEY}")
    assert "abcd1234" not in _shown(json.dumps([json.dumps(f"a{before}{KEY}")]))


_keys = st.sampled_from(["api_key", "password", "x-api-key", "Authorization", "client_secret", "access_token"])
_values = st.text("abcXYZ0123456789!$%/+.-", min_size=9, max_size=80).map(lambda rest: "Q" + rest)


@given(key=_keys, value=_values, filler=_filler, limit=st.integers(0, 4000))
def test_nothing_under_a_name_that_announces_a_secret_survives(key: str, value: str, filler: str, limit: int) -> None:
    tree = {"a": filler, "b": [{"c": {key: value}}, {key: {"deep": [value]}}]}
    texts = [
        tree,
        json.dumps(tree),
        json.dumps(json.dumps(tree)),
        repr(tree),
        f"{filler} {key}={value} next",
        f"{filler} {key}: {value}\nnext",
        f"{filler} https://example.org/?{key}={value}&next=1",
        f"{filler} call({key}='{value}')",
        f"{filler} call({key}=Wrapped('{value}'))",
        f"{filler} {{'{key}': b'{value}'}}",
    ]
    for text in texts:
        for capture in (FULL, Capture(), Capture(level="full", max_value_bytes=limit)):
            kept = _shown(text, capture)
            assert not any(fragment in kept for fragment in _fragments(value)), (text, kept)


_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes() | st.uuids(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
        | st.tuples(inner)
        | st.dictionaries(st.tuples(st.integers()), inner)
        | st.sets(st.integers())
    ),
    max_leaves=20,
)


@given(
    value=_trees,
    level=st.sampled_from(["none", "digest", "full"]),
    limit=st.integers(0, 100),
    redact=st.sampled_from([None, ".", "a"]),
)
def test_size_and_hash_depend_neither_on_the_level_nor_on_what_is_redacted(
    value: Any, level: Any, limit: int, redact: str | None
) -> None:
    one = FULL.take(value)
    other = Capture(level=level, max_value_bytes=limit, digest_chars=limit, redact_keys=redact).take(value, key="a")
    assert (one.bytes, one.sha256, one.content_type) == (other.bytes, other.sha256, other.content_type)
    kept = (other.text or "").encode()
    assert len(kept) <= limit or level == "digest"
    assert (other.text is None) == (level == "none" or isinstance(value, bytes))


@given(value=_trees)
def test_json_that_is_kept_whole_can_be_parsed(value: Any) -> None:
    taken = Capture(level="full", redact_keys=None, max_value_bytes=10**7).take(value)
    if taken.text is not None and taken.content_type == "application/json":
        json.loads(taken.text)


@given(st.text())
def test_text_is_taken_as_it_is(text: str) -> None:
    taken = Capture(level="full", redact_keys=None).text(text)
    raw = text.encode()
    assert (taken.bytes, taken.sha256, taken.content_type) == (len(raw), hashlib.sha256(raw).hexdigest(), "text/plain")
    assert (taken.text, taken.truncated) == (text, False)


def test_an_argument_with_an_api_key_is_stored_redacted_with_size_and_hash_intact() -> None:
    arguments = {"city": "Paris", "headers": {"X-Api-Key": "hunter2"}, "note": f"use {KEY} for it"}
    canonical = json.dumps(arguments, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    taken = FULL.take(arguments)
    assert taken.text == ('{"city":"Paris","headers":{"X-Api-Key":"<redacted>"},"note":"use <redacted> for it"}')
    assert (taken.bytes, taken.sha256, taken.truncated) == (len(canonical), _sha(canonical), False)


@pytest.mark.parametrize("level", ["none", "digest", "full"])
def test_a_result_of_five_megabytes_is_stored_cut_with_size_and_hash_intact(level: Any) -> None:
    text = "0123456789abcde " * (5 * 1024 * 1024 // 16)
    taken = Capture(level=level).take(text)
    assert (taken.bytes, taken.sha256) == (len(text), _sha(text))
    kept = {"none": None, "digest": text[:256], "full": text[: 64 * 1024]}[level]
    assert (taken.text, taken.truncated) == (kept, level != "none")
    message = ToolMessage(text, tool_call_id="1")
    assert Capture(level=level).take(message) == taken


def test_digest_keeps_characters_and_full_keeps_bytes_and_neither_cuts_a_character_in_two() -> None:
    assert _shown("漢" * 1000, Capture()) == "漢" * 256
    assert _shown("漢" * 1000, Capture(level="full", max_value_bytes=100)) == "漢" * 33
    assert _shown("漢" * 1000, Capture(max_value_bytes=100)) == "漢" * 33


def test_bytes_are_never_stored() -> None:
    raw = b"RIFF" + bytes(1000)
    for value in (raw, bytearray(raw), memoryview(raw), memoryview(raw + raw)[::2]):
        taken = FULL.take(value)
        assert taken.text is None and taken.content_type == "application/octet-stream" and taken.bytes == len(raw)
    assert FULL.take(raw).sha256 == hashlib.sha256(raw).hexdigest()
    assert json.loads(_shown({"audio": raw})) == {
        "audio": {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    }


def test_a_message_is_its_content_and_artifact() -> None:
    plain = ToolMessage("found", tool_call_id="1", id="a")
    assert _shown(plain) == "found"
    with_artifact = ToolMessage([{"type": "text", "text": "found"}], artifact={"rows": 2}, tool_call_id="1")
    assert json.loads(_shown(with_artifact)) == {
        "content": [{"type": "text", "text": "found"}],
        "artifact": {"rows": 2},
    }
    said = AIMessage("", tool_calls=[{"name": "f", "args": {"password": "hunter2"}, "id": "7"}])
    assert json.loads(_shown([HumanMessage("hi", id="b"), said])) == [
        {"type": "human", "content": "hi"},
        {
            "type": "ai",
            "content": "",
            "tool_calls": [{"name": "f", "args": {"password": "<redacted>"}, "id": "7", "type": "tool_call"}],
        },
    ]


class _Colour(Enum):
    RED = "red"


class _Word(StrEnum):
    YES = "yes"


@dataclasses.dataclass
class _Point:
    x: int
    token: str


class _Model(BaseModel):
    name: str
    token: SecretStr
    inner: Any = None


class _Text(str):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (_Point(1, "t"), {"x": 1, "token": "<redacted>"}),
        (_Model(name="n", token=SecretStr("s"), inner=_Point(2, "t")),
         {"name": "n", "token": "<redacted>", "inner": {"x": 2, "token": "<redacted>"}}),
        ([datetime(2026, 1, 2, tzinfo=UTC), timedelta(seconds=3)], ["2026-01-02T00:00:00+00:00", 3.0]),
        ([UUID(int=0), PurePosixPath("/a"), Decimal("1.50")], ["00000000-0000-0000-0000-000000000000", "/a", "1.50"]),
        ([_Colour.RED, _Word.YES, _Text("t")], ["red", "yes", "t"]),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        ([deque([1]), (2,), frozenset([3])], [[1], [2], [3]]),
        ({1: "int", "1": "text", None: 0, (1, 2): 3}, {"1": "int", "1'": "text", "null": 0, "[1,2]": 3}),
        ([OrderedDict(a=1), UserDict(b=2)], [{"a": 1}, {"b": 2}]),
        ([10**5000], [hex(10**5000)]),
        (["\ud800"], ["?"]),
        ([ValueError("bad")], ["ValueError('bad')"]),
    ],
)  # fmt: skip
def test_values_become_json(value: Any, expected: Any) -> None:
    assert json.loads(_shown(value)) == expected


def test_cycles_and_depths_end() -> None:
    cycle: list[Any] = [1]
    cycle.append({"again": cycle})
    assert json.loads(_shown(cycle)) == [1, {"again": "<cycle>"}]
    shared = ["twice"]
    assert json.loads(_shown([shared, shared])) == [["twice"], ["twice"]]
    deep: Any = "end"
    for _ in range(100_000):
        deep = [deep]
    assert "<too deep>" in _shown(deep)
    text = "[" * 100_000
    assert _shown(f'{{"password": {text}') == '{"password": <redacted>'


class _Hostile:
    """Raises whatever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError

    def __iter__(self) -> Any:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError


class _BadMapping(UserDict[str, Any]):
    def items(self) -> Any:
        raise OSError


class _Endless:
    def __repr__(self) -> str:
        return repr(self)


def _released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


_hostile = st.sampled_from(
    [
        _Hostile,
        lambda: _BadMapping(a=1),
        _Endless,
        _released,
        lambda: object,
        lambda: iter([1]),
        lambda: _released,
        lambda: ...,
        lambda: _Hostile,
        lambda: 1j,
    ]
)
_recipes = st.recursive(_hostile, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def _made(recipe: Any) -> Any:
    """The objects themselves: not even Hypothesis can handle them."""
    if isinstance(recipe, list):
        return [_made(inner) for inner in recipe]
    if isinstance(recipe, dict):
        made = {name: _made(inner) for name, inner in recipe.items()}
        return _Model(name="n", token=SecretStr("t"), inner=made) if "" in recipe else _Point(1, made)  # type: ignore[arg-type]
    return recipe()


@given(_recipes)
def test_nothing_that_can_be_handed_over_raises(recipe: Any) -> None:
    assert len(FULL.take(_made(recipe)).sha256) == 64


def test_an_iterator_is_not_consumed() -> None:
    numbers = iter([1, 2])
    FULL.take({"numbers": numbers})
    assert list(numbers) == [1, 2]


def test_redactors_see_every_text_and_key_before_it_is_cut() -> None:
    capture = Capture(level="full", max_value_bytes=30, redactors=(lambda text: text.replace("Ann", "A."),))
    assert _shown("x" * 29 + "Ann", capture) == "x" * 29 + "A"
    assert _shown("x" * 28 + "Ann", capture) == "x" * 28 + "A."
    assert json.loads(_shown({"Ann": ["Ann", 1]}, capture)) == {"A.": ["A.", 1]}


def test_what_a_failing_redactor_could_not_clean_is_not_stored() -> None:
    def fails(text: str) -> str:
        raise ValueError(text)

    taken = Capture(level="full", redactors=(fails,)).take("Ann")
    assert (taken.text, taken.sha256) == (REDACTION_FAILED, _sha("Ann"))


def test_a_name_may_redact_all_of_a_value() -> None:
    assert _shown({"a": 1}, key="password") == _shown("abc", key="password") == "<redacted>"
    assert _shown("abc", Capture(level="full", redact_keys="^b$"), key="password") == "abc"
    assert _shown("abc", Capture(level="full", redact_keys=None), key="password") == "abc"


def test_a_name_is_kept_at_any_level_without_its_secrets() -> None:
    for level in ("none", "digest", "full"):
        capture = Capture(level=level)  # type: ignore[arg-type]
        assert capture.name("redis://ann:hunter2@db/0") == "redis://ann:<redacted>@db/0"
        assert capture.name("x" * 2000) == "x" * 1024
        assert capture.name(None) is None and capture.name(7) == "7"


@pytest.mark.parametrize(
    "text",
    [
        "The task-force-of-nations report says: nothing about tokens or risk-management-of-banks.",
        "Read https://example.org/a:b/c@d and http://localhost:8000/path?q=1",
        "max_tokens=100, tokens: 5, keyboard: qwerty, monkey: 1",
        "ask-me-anything-about-this",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert _shown(text) == text


def test_what_is_around_a_secret_stays() -> None:
    assert _shown(f'{{"api_key": "a\\"b", "n": 1, "token": 5, "url": "redis://ann:pw@h/0", "k": "{KEY}"}}') == (
        '{"api_key": "<redacted>", "n": 1, "token": <redacted> "url": "redis://ann:<redacted>@h/0", "k": "<redacted>"}'
    )
    assert _shown('{"credentials": {"user": "u"}, "n": 1}') == '{"credentials": <redacted>, "n": 1}'
    assert _shown("curl -H 'Authorization: Basic dXNlcjpwYXNz' x") == "curl -H 'Authorization: <redacted>' x"
    assert _shown("Authorization: Bearer abcdefgh12\nHost: x") == "Authorization: <redacted>\nHost: x"


def test_wrong_configurations_are_refused() -> None:
    for wrong in ({"level": "all"}, {"redact_keys": "("}, {"max_value_bytes": -1}, {"digest_chars": -1}):
        with pytest.raises(ConfigurationError):
            Capture(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "unit",
    ["a", "a ", "eyJ", "sk-", "://a:", "\\", '\\"', "password=", '"password": "', "BEGIN ",
     "-----BEGIN PRIVATE KEY-----", "bearer ", "password: [", "a.b-c_", "{", '"a": ', "漢"],
)  # fmt: skip
def test_time_is_linear_in_the_text(unit: str) -> None:
    def once(size: int) -> float:
        text = (unit * (size // len(unit) + 1))[:size]
        start = time.process_time()
        Capture(level="full", max_value_bytes=10**8).take(text)
        return time.process_time() - start

    def seconds(size: int) -> float:
        return min(once(size) for _ in range(3))

    assert seconds(640_000) < 40 * max(seconds(40_000), 0.002)  # 16 times the text; 256 times if it were quadratic
