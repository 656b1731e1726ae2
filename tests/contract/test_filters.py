"""Metadata filters are data: Python equality with what was stored, never a query language."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer

from .build import at, listed, meta, put

STORED: dict[str, Any] = {
    "string": {"k": "a"},
    "list": {"k": ["a"]},
    "two": {"k": ["a", "b"]},
    "int": {"k": 1},
    "zero": {"k": 0},
    "float": {"k": 1.5},
    "true": {"k": True},
    "false": {"k": False},
    "none": {"k": None},
    "missing": {},
    "empty-string": {"k": ""},
    "empty-list": {"k": []},
    "empty-dict": {"k": {}},
    "dict": {"k": {"a": 1, "b": {"c": [1, 2]}}},
    "operator": {"k": {"$ne": 1}},
    "dotted": {"k.a": 1, "k": "dotted"},
    "dollar": {"$where": "1", "k": "dollar"},
    "bytes": {"k": b"a"},
    "big": {"k": 2**63 - 1},
    "nul": {"k": "ab"},
    "long": {"k": "x" * 5_000},
}

QUERIES: list[tuple[Any, list[str]]] = [
    ("a", ["string"]),
    (["a"], ["list"]),
    (["a", "b"], ["two"]),
    (["b", "a"], []),
    (1, ["int", "true"]),
    (True, ["int", "true"]),
    (1.0, ["int", "true"]),
    (0, ["zero", "false"]),
    (False, ["zero", "false"]),
    (1.5, ["float"]),
    (None, ["none", "missing"]),
    ("", ["empty-string"]),
    ([], ["empty-list"]),
    ({}, ["empty-dict"]),
    ({"a": 1, "b": {"c": [1, 2]}}, ["dict"]),
    ({"b": {"c": [1, 2]}, "a": 1}, ["dict"]),
    ({"a": 1}, []),
    ({"$ne": 1}, ["operator"]),
    ({"$gt": ""}, []),
    ({"$exists": True}, []),
    ({"$regex": ".*"}, []),
    ({"$in": ["a", 1]}, []),
    (b"a", ["bytes"]),
    ("1", []),
    ("a*", []),
    (2**63 - 1, ["big"]),
    (2**70, []),
    ("x" * 5_000, ["long"]),
    ("x" * 4_999, []),
    ("ab", ["nul"]),
]


async def store(saver: Any) -> None:
    for name, extra in STORED.items():
        await put(saver, at("t"), {}, meta(name=name, **extra))


async def names(saver: Any, filter: dict[str, Any], **criteria: Any) -> set[str]:
    return {found.metadata["name"] for found in await listed(saver, at("t"), filter=filter, **criteria)}


async def check_all(saver: Any) -> None:
    await store(saver)
    wrong = {}
    for query, expected in QUERIES:
        got = await names(saver, {"k": query})
        if got != set(expected):
            wrong[repr(query)[:60]] = (sorted(got), expected)
    assert not wrong, f"filter: (got, expected) = {wrong}"


async def test_filters_follow_python_equality(saver: Any) -> None:
    await check_all(saver)


async def test_filters_work_under_encryption(make_saver: Any) -> None:
    async with make_saver(serde=EncryptedSerializer.from_pycryptodome_aes(key=b"0123456789abcdef")) as saver:
        await check_all(saver)


async def test_an_operator_document_matches_nothing_and_raises_nothing(saver: Any) -> None:
    await put(saver, at("t"), {}, meta(source="input"))
    for query in ({"$ne": 1}, {"$gt": ""}, {"$in": ["input"]}, {"$where": "1"}, {"$not": {"$eq": 1}}):
        assert await listed(saver, at("t"), filter={"source": query}) == []
        assert await listed(saver, None, filter={"source": query}) == []


@pytest.mark.parametrize("key", ["$where", "$or", "k.a", "k.0", "", "$expr", "_id", "t", "a\0b", "*"])
async def test_filter_keys_are_names_and_never_paths_or_operators(saver: Any, key: str) -> None:
    await store(saver)
    expected = {name for name, extra in STORED.items() if key in extra and extra[key] in (1, "1")}
    assert await names(saver, {key: 1}) | await names(saver, {key: "1"}) == expected


async def test_every_key_of_a_filter_must_match(saver: Any) -> None:
    await store(saver)
    assert await names(saver, {"k": 1, "name": "int"}) == {"int"}
    assert await names(saver, {"k": 1, "name": "string"}) == set()


async def test_an_empty_filter_matches_everything(saver: Any) -> None:
    await store(saver)
    assert await names(saver, {}) == set(STORED)


async def test_limit_counts_matches_only(saver: Any) -> None:
    await store(saver)
    assert len(await listed(saver, at("t"), filter={"k": 1}, limit=1)) == 1
    assert len(await listed(saver, at("t"), filter={"k": 1}, limit=9)) == 2


async def test_source_step_and_run_id_can_be_filtered(saver: Any) -> None:
    for step in range(4):
        await put(saver, at("t"), {}, meta("input" if step % 2 else "loop", step, run_id=f"run-{step // 2}"))
    for filter, steps in (
        ({"source": "input"}, [3, 1]),
        ({"step": 2}, [2]),
        ({"step": -1}, []),
        ({"run_id": "run-1"}, [3, 2]),
        ({"run_id": "run-1", "source": "loop"}, [2]),
        ({"parents": {}}, [3, 2, 1, 0]),
    ):
        assert [f.metadata["step"] for f in await listed(saver, at("t"), filter=filter)] == steps
