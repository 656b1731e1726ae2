"""`list`: newest first, `before`, `limit`, by id, over namespaces, over threads."""

from __future__ import annotations

from typing import Any

import pytest

from .build import ABSENT, at, chain, get, listed, listed_ids, meta, place, put
from .compare import view


async def test_list_is_newest_first_and_complete(saver: Any) -> None:
    configs = await chain(saver, "t", 5)
    assert await listed_ids(saver, at("t")) == [place(c)[2] for c in reversed(configs)]


async def test_list_and_get_tuple_tell_the_same(saver: Any) -> None:
    for config in await chain(saver, "t", 3):
        await saver.aput_writes(config, [("x", 1), ("__interrupt__", "wait")], "task", "path")
    for found in await listed(saver, at("t")):
        assert view(found) == view(await get(saver, found.config))


@pytest.mark.parametrize(("limit", "count"), [(0, 0), (1, 1), (3, 3), (5, 5), (50, 5), (None, 5)])
async def test_limit_cuts_the_newest(saver: Any, limit: int | None, count: int) -> None:
    configs = await chain(saver, "t", 5)
    newest_first = [place(c)[2] for c in reversed(configs)]
    assert await listed_ids(saver, at("t"), limit=limit) == newest_first[:count]


async def test_before_is_exclusive_and_by_checkpoint_id(saver: Any) -> None:
    ids = [place(c)[2] for c in await chain(saver, "t", 4)]
    assert await listed_ids(saver, at("t"), before=at("t", "", ids[2])) == [ids[1], ids[0]]
    assert await listed_ids(saver, at("t"), before=at("t", "", ids[0])) == []
    assert await listed_ids(saver, at("t"), before=at("t", "", ids[3] + "x")) == ids[::-1]


async def test_before_without_a_checkpoint_id_is_no_criterion(saver: Any) -> None:
    ids = [place(c)[2] for c in await chain(saver, "t", 2)]
    assert await listed_ids(saver, at("t"), before=at("t")) == ids[::-1]


async def test_before_need_not_name_a_stored_checkpoint_or_the_same_thread(saver: Any) -> None:
    ids = [place(c)[2] for c in await chain(saver, "t", 2)]
    assert await listed_ids(saver, at("t"), before=at("another", "ns", ids[1])) == [ids[0]]


async def test_before_limit_and_filter_combine(saver: Any) -> None:
    configs = []
    for step in range(8):
        source = "input" if step % 2 else "loop"
        configs.append(await put(saver, configs[-1] if configs else at("t"), {}, meta(source, step)))
    found = await listed(saver, at("t"), filter={"source": "input"}, before=configs[6], limit=2)
    assert [f.metadata["step"] for f in found] == [5, 3]


async def test_a_config_with_checkpoint_id_lists_that_one(saver: Any) -> None:
    configs = await chain(saver, "t", 3)
    assert await listed_ids(saver, configs[1]) == [place(configs[1])[2]]
    assert await listed_ids(saver, at("t", "", "unknown")) == []
    assert await listed_ids(saver, configs[1], before=configs[0]) == []
    assert await listed_ids(saver, configs[1], limit=0) == []
    assert await listed_ids(saver, configs[1], filter={"step": 2}) == []


async def test_checkpoint_id_none_counts_as_absent(saver: Any) -> None:
    """LangGraph itself passes `checkpoint_id: None` for the latest."""
    ids = [place(c)[2] for c in await chain(saver, "t", 2)]
    config = at("t")
    config["configurable"]["checkpoint_id"] = None
    assert await listed_ids(saver, config) == ids[::-1]
    assert (await get(saver, config)).checkpoint["id"] == ids[-1]
    rooted = await put(saver, config)
    assert (await get(saver, rooted)).parent_config is None


async def test_without_a_namespace_list_covers_all_of_them(saver: Any) -> None:
    expected = {ns: [place(c)[2] for c in await chain(saver, "t", 2, ns)] for ns in ("", "a:1", "a:1|b:2")}
    await chain(saver, "other", 1)
    found: dict[str, list[str]] = {}
    for f in await listed(saver, at("t", ABSENT)):
        found.setdefault(place(f.config)[1], []).append(f.checkpoint["id"])
    assert found == {ns: ids[::-1] for ns, ids in expected.items()}


async def test_with_an_empty_namespace_list_covers_the_root_only(saver: Any) -> None:
    root = await chain(saver, "t", 1)
    await chain(saver, "t", 2, "child:1")
    assert await listed_ids(saver, at("t", "")) == [place(root[0])[2]]


async def test_without_a_namespace_get_tuple_means_the_root(saver: Any) -> None:
    (root,) = await chain(saver, "t", 1)
    await chain(saver, "t", 1, "child:1")
    assert place((await get(saver, at("t", ABSENT))).config)[2] == place(root)[2]


async def test_list_none_covers_all_threads(saver: Any) -> None:
    expected = {place(c) for t in "abc" for ns in ("", "n:1") for c in await chain(saver, t, 2, ns)}
    found = [place(f.config) for f in await listed(saver, None)]
    assert set(found) == expected and len(found) == len(expected)


async def test_list_none_takes_filter_before_and_limit(saver: Any) -> None:
    configs = [c for t in "abc" for c in await chain(saver, t, 3)]
    assert len(await listed(saver, None, limit=4)) == 4
    assert {place(f.config)[0] for f in await listed(saver, None, filter={"step": 1})} == set("abc")
    earlier = {place(c)[2] for c in configs if place(c)[2] < place(configs[4])[2]}
    assert set(await listed_ids(saver, None, before=configs[4])) == earlier


async def test_unknown_places_are_empty_and_stay_so(saver: Any) -> None:
    assert await saver.aget_tuple(at("nobody")) is None
    assert await saver.aget_tuple(at("nobody", "ns", "id")) is None
    assert await saver.aget(at("nobody")) is None
    assert await listed(saver, at("nobody")) == []
    assert await listed(saver, None) == []


async def test_a_list_can_be_left_early_and_started_again(saver: Any) -> None:
    await chain(saver, "t", 5)
    for _ in range(3):
        async for _found in saver.alist(at("t")):
            break
    assert len(await listed(saver, at("t"))) == 5


async def test_a_thread_can_be_changed_while_it_is_listed(saver: Any) -> None:
    configs = await chain(saver, "t", 4)
    seen = []
    async for found in saver.alist(at("t"), limit=2):
        seen.append(found.checkpoint["id"])
        await saver.aput_writes(found.config, [("x", 1)], "task")
    assert seen == [place(c)[2] for c in (configs[3], configs[2])]


async def test_deleted_thread_is_empty_and_can_begin_anew(saver: Any) -> None:
    configs = await chain(saver, "t", 3)
    await chain(saver, "t", 1, "child:1")
    await saver.aput_writes(configs[-1], [("x", 1)], "task")
    await saver.adelete_thread("t")
    assert await listed(saver, at("t", ABSENT)) == []
    assert all([await saver.aget_tuple(c) is None for c in configs])

    again = await put(saver, at("t"), {"step": "new"}, id=place(configs[-1])[2])
    found = await get(saver, again)
    assert found.checkpoint["channel_values"] == {"step": "new"}
    assert found.pending_writes == []
    await saver.adelete_thread("never existed")


async def test_an_empty_checkpoint_id_counts_as_absent(saver: Any) -> None:
    ids = [place(c)[2] for c in await chain(saver, "t", 2)]
    config = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": ""}}
    assert (await get(saver, config)).checkpoint["id"] == ids[-1]
    assert await listed_ids(saver, config) == ids[::-1]
    assert (await get(saver, await put(saver, config))).parent_config is None
