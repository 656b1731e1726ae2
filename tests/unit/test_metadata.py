"""Preselection in MongoDB leaves out nothing that Python equality accepts."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from langgraph_session_bridge.checkpoint.metadata import filterable, matches, preselection, redacted

KEYS = ("source", "step", "run_id")

numbers = st.one_of(
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(allow_nan=True),
    st.sampled_from([0.0, -0.0, 1.0, 2.0, 2**53, float(2**53), 2**53 + 1, 2**63, 2**63 - 1, -(2**63), 1e300]),
)
texts = st.one_of(st.text(max_size=5), st.sampled_from(["a\0", "x" * 513, "", "loop"]))
scalars = st.one_of(st.none(), numbers, texts, st.binary())
values = st.one_of(scalars, st.lists(scalars, max_size=2), st.dictionaries(st.text(max_size=2), scalars, max_size=2))
keys = st.sampled_from([*KEYS, "other"])


def mongo_accepts(stored: dict[str, Any], query: dict[str, Any]) -> bool:
    """What MongoDB does with the few forms that a preselection has: equality by BSON type class, `$in`, absence."""

    def equal(have: Any, want: Any) -> bool:
        if want is None:
            return have is None
        if isinstance(have, bool) != isinstance(want, bool) or isinstance(have, str) != isinstance(want, str):
            return False
        return bool(have == want)

    for path, condition in query.items():
        have = stored.get(path.removeprefix("m."))
        wanted = condition["$in"] if isinstance(condition, dict) else [condition]
        if not any(equal(have, want) for want in wanted):
            return False
    return True


@given(st.dictionaries(keys, values, max_size=3), st.dictionaries(keys, values, max_size=2))
@example({"step": 1}, {"step": True})
@example({"step": True}, {"step": 1})
@example({"step": 2.0}, {"step": 2})
@example({"step": 2}, {"step": 2.0})
@example({"source": "a\0"}, {"source": "a\0"})
@example({"step": 2**63}, {"step": 2**63})
@example({"step": float(2**63)}, {"step": 2**63})
@example({}, {"source": None})
def test_preselection_never_excludes_what_python_equality_accepts(
    metadata: dict[str, Any], wanted: dict[str, Any]
) -> None:
    if matches(metadata, wanted):
        assert mongo_accepts(filterable(metadata, KEYS), preselection(wanted, KEYS))


@given(st.dictionaries(keys, values, max_size=3), keys, values)
def test_preselection_never_excludes_the_metadata_itself(metadata: dict[str, Any], key: str, value: Any) -> None:
    metadata = {**metadata, key: value}
    if matches(metadata, {key: value}):  # not for NaN
        assert mongo_accepts(filterable(metadata, KEYS), preselection({key: value}, KEYS))


@given(st.dictionaries(keys, values, max_size=3))
def test_a_preselection_is_made_of_values_only(wanted: dict[str, Any]) -> None:
    """No part of a filter can become an operator or a path."""
    for path, condition in preselection(wanted, KEYS).items():
        assert path in {f"m.{key}" for key in KEYS}
        if isinstance(condition, dict):
            assert set(condition) == {"$in"} and condition["$in"][1:] == [None]
            condition = condition["$in"][0]
        assert type(condition) in (str, int)


def test_secrets_are_replaced_unless_the_graph_gave_them() -> None:
    pattern = re.compile("(?i)key")
    found = redacted({"api_key": "s", "own_key": 1, "user": "u"}, {"own_key": 1}, pattern)
    assert found == {"api_key": "<redacted>", "own_key": 1, "user": "u"}
