"""Identifiers are opaque: odd ones never touch each other, in any position."""

from __future__ import annotations

from typing import Any

import pytest

from .build import ABSENT, at, get, listed, listed_ids, put, values_at

ODD = [
    "plain",
    "a",
    "a:b",
    "a:b:c",
    ":",
    "*",
    "a*",
    "?",
    "[a]",
    "{a}",
    "{}",
    "{a}:b",
    "a|b",
    "|",
    "a/b",
    "/",
    "..",
    "../a",
    ".",
    "~",
    "a~b",
    "$a",
    "$ne",
    "$",
    "a\nb",
    "a\n",
    "\n",
    "a\0b",
    "a\0",
    "\0",
    "a ",
    " a",
    " ",
    "A",
    "é",
    "e\u0301",
    "ß",
    "ss",
    "日本語",
    "\U0001f600",
    "\u200b",
    "\uffff",
    "%00",
    "%3A",
    "\\",
    "\\x00",
    '"',
    "'",
    "`",
    "a\tb",
    "a\r\nb",
    "0",
    "00",
    "1e3",
    "null",
    "None",
    "true",
    "long-" + "x" * 10_240,
    "long-" + "x" * 10_239 + "y",
    "日" * 3_400,
]


async def test_odd_thread_ids_never_touch_each_other(saver: Any) -> None:
    for n, thread in enumerate(ODD):
        config = await put(saver, at(thread), {"owner": n})
        await saver.aput_writes(config, [("x", n)], "task")
    await assert_owned(saver, {n: at(thread) for n, thread in enumerate(ODD)})
    assert len(await listed(saver, None)) == len(ODD)


async def test_deleting_one_odd_thread_leaves_all_others(saver: Any) -> None:
    for n, thread in enumerate(ODD):
        config = await put(saver, at(thread), {"owner": n})
        await saver.aput_writes(config, [("x", n)], "task")
    left = dict(enumerate(ODD))
    for victim in ("*", "a", "{a}", "$ne", ":", "\n", " ", ODD[-2]):
        await saver.adelete_thread(victim)
        left = {n: thread for n, thread in left.items() if thread != victim}
        assert await saver.aget_tuple(at(victim)) is None
        assert await listed(saver, at(victim)) == []
    await assert_owned(saver, {n: at(thread) for n, thread in left.items()})


async def test_odd_namespaces_never_touch_each_other(saver: Any) -> None:
    namespaces = ["", *ODD, "parent:1|child:2", "parent:1", "parent:1|child", "child:2"]
    for n, ns in enumerate(namespaces):
        config = await put(saver, at("t", ns), {"owner": n})
        await saver.aput_writes(config, [("x", n)], "task")
    await assert_owned(saver, {n: at("t", ns) for n, ns in enumerate(namespaces)})
    found = await listed(saver, at("t", ABSENT))
    assert {f.config["configurable"]["checkpoint_ns"] for f in found} == set(namespaces)
    assert len(found) == len(namespaces)


async def test_odd_checkpoint_ids_never_touch_each_other(saver: Any) -> None:
    for n, checkpoint_id in enumerate(ODD):
        config = await put(saver, at("t"), {"owner": n}, id=checkpoint_id)
        await saver.aput_writes(config, [("x", n)], "task")
    await assert_owned(saver, {n: at("t", "", checkpoint_id) for n, checkpoint_id in enumerate(ODD)})
    assert await listed_ids(saver, at("t")) == sorted(ODD, reverse=True)
    assert (await get(saver, at("t"))).checkpoint["id"] == max(ODD)


async def test_odd_parent_ids_come_back_unchanged(saver: Any) -> None:
    for n, parent in enumerate(ODD):
        config = await put(saver, at("t", "", parent), id=f"child-{n}")
        found = (await get(saver, config)).parent_config
        assert found is not None and found["configurable"]["checkpoint_id"] == parent


async def test_odd_task_ids_and_paths_never_touch_each_other(saver: Any) -> None:
    config = await put(saver, at("t"))
    for task in ODD:
        await saver.aput_writes(config, [("x", task)], task)
    for path in ODD:
        await saver.aput_writes(config, [("x", path)], f"path of {path}", path)
    pending = (await get(saver, config)).pending_writes
    expected = sorted([("", task, task) for task in ODD] + [(path, f"path of {path}", path) for path in ODD])
    assert pending == [(task, "x", value) for _, task, value in expected]


async def test_ids_that_join_to_the_same_text_stay_apart(saver: Any) -> None:
    """No separator may make two places one."""
    places = [
        (thread, ns, checkpoint_id)
        for sep in (":", "|", "\0", "/", "~", ",", "\x1f", " ", "{", "\n")
        for thread, ns, checkpoint_id in (
            (f"a{sep}b", "c", "d"),
            ("a", f"b{sep}c", "d"),
            ("a", "b", f"c{sep}d"),
            (f"a{sep}", f"{sep}c", "d"),
            (f"a{sep}{sep}", "c", "d"),
            ("a", f"{sep}{sep}c", "d"),
        )
    ]
    for n, (thread, ns, checkpoint_id) in enumerate(places):
        config = await put(saver, at(thread, ns), {"owner": n}, id=checkpoint_id)
        await saver.aput_writes(config, [("x", n)], "task")
    await assert_owned(saver, {n: at(*place) for n, place in enumerate(places)})


@pytest.mark.parametrize("run_id", ["*", "$ne", "a\nb", "a:b", "日本語", "x" * 10_240])
async def test_odd_run_ids_are_metadata_like_any_other(saver: Any, run_id: str) -> None:
    config = await put(saver, at("t"), {}, {"source": "loop", "step": 0, "parents": {}, "run_id": run_id})
    assert (await get(saver, config)).metadata["run_id"] == run_id
    assert len(await listed(saver, at("t"), filter={"run_id": run_id})) == 1


async def assert_owned(saver: Any, configs: dict[int, Any]) -> None:
    for n, config in configs.items():
        found = await get(saver, config)
        assert found.checkpoint["channel_values"] == {"owner": n}
        assert found.pending_writes == [("task", "x", n)]
    for n, config in configs.items():
        assert await values_at(saver, config) == {"owner": n}
