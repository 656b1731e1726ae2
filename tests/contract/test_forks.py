"""A fork leaves the branch it came from intact."""

from __future__ import annotations

from typing import Any

from .build import ABSENT, at, checkpoint, get, listed_ids, meta, place, put, successor, values_at


async def test_fork_leaves_the_old_branch_intact(saver: Any) -> None:
    root = await put(saver, at("t"), {"messages": ["one"]})
    trunk = (await get(saver, root)).checkpoint
    main = await put(saver, root, {"messages": ["one", "MAIN"]}, parent=trunk)
    fork = await put(saver, root, {"messages": ["one", "FORK"]}, parent=trunk)

    assert (await values_at(saver, root))["messages"] == ["one"]
    assert (await values_at(saver, main))["messages"] == ["one", "MAIN"]
    assert (await values_at(saver, fork))["messages"] == ["one", "FORK"]


async def test_fork_of_a_fork_keeps_every_ancestor_readable(saver: Any) -> None:
    base = await put(saver, at("t"), {"messages": [0]})
    branches = [base]
    for depth in range(1, 5):
        parent = (await get(saver, branches[-1])).checkpoint
        messages = parent["channel_values"]["messages"]
        branches.append(await put(saver, branches[-1], {"messages": [*messages, depth]}, parent=parent))
        await put(saver, branches[-2], {"messages": [*messages, -depth]}, parent=parent)
    for depth, config in enumerate(branches):
        assert (await values_at(saver, config))["messages"] == list(range(depth + 1))


async def test_both_branches_name_the_same_parent(saver: Any) -> None:
    root = await put(saver, at("t"), {"x": 0})
    trunk = (await get(saver, root)).checkpoint
    for value in (1, 2):
        branch = await put(saver, root, {"x": value}, parent=trunk)
        parent = (await get(saver, branch)).parent_config
        assert parent is not None and place(parent) == place(root)


async def test_head_is_the_highest_checkpoint_id_whatever_the_order_of_puts(saver: Any) -> None:
    late, early = "2-late", "1-early"
    await put(saver, at("t"), {"x": "late"}, id=late)
    await put(saver, at("t"), {"x": "early"}, id=early)

    assert (await get(saver, at("t"))).checkpoint["id"] == late
    assert await listed_ids(saver, at("t")) == [late, early]
    assert await values_at(saver, at("t", "", early)) == {"x": "early"}


async def test_a_branch_that_removes_a_channel_does_not_remove_it_elsewhere(saver: Any) -> None:
    root = await put(saver, at("t"), {"keep": 1, "gone": [1, 2]})
    trunk = (await get(saver, root)).checkpoint
    without = await put(saver, root, {"gone": ABSENT}, parent=trunk)
    with_it = await put(saver, root, {"keep": 2}, parent=trunk)

    assert await values_at(saver, without) == {"keep": 1}
    assert await values_at(saver, with_it) == {"keep": 2, "gone": [1, 2]}
    assert await values_at(saver, root) == {"keep": 1, "gone": [1, 2]}


async def test_edits_in_the_middle_and_at_the_front_of_a_list_stay_on_their_branch(saver: Any) -> None:
    history = list(range(30))
    root = await put(saver, at("t"), {"messages": history})
    trunk = (await get(saver, root)).checkpoint
    edits = {
        "trimmed": history[10:],
        "edited": [*history[:5], "EDIT", *history[6:]],
        "inserted": [*history[:5], "NEW", *history[5:]],
        "appended": [*history, 30, 31],
        "cleared": [],
        "shortened": history[:-3],
        "reversed": history[::-1],
        "doubled": history + history,
    }
    branches = {name: await put(saver, root, {"messages": edited}, parent=trunk) for name, edited in edits.items()}
    for name, config in branches.items():
        assert (await values_at(saver, config))["messages"] == edits[name], name
    assert (await values_at(saver, root))["messages"] == history


async def test_two_writers_appending_at_the_same_length_never_see_each_others_element(make_saver: Any) -> None:
    async with make_saver() as ours, make_saver() as theirs:
        root = await put(ours, at("t"), {"messages": ["shared"]})
        trunks = [(await get(saver, root)).checkpoint for saver in (ours, theirs)]
        one = await put(ours, root, {"messages": ["shared", "OURS"]}, parent=trunks[0])
        two = await put(theirs, root, {"messages": ["shared", "THEIRS"]}, parent=trunks[1])
        for reader in (ours, theirs):
            assert (await values_at(reader, one))["messages"] == ["shared", "OURS"]
            assert (await values_at(reader, two))["messages"] == ["shared", "THEIRS"]


async def test_put_of_an_existing_id_replaces_its_content_and_keeps_its_writes(saver: Any) -> None:
    first, versions = successor(saver, None, {"messages": ["draft"], "dropped": 1})
    config = await saver.aput(at("t"), first, meta(step=1), versions)
    await saver.aput_writes(config, [("messages", "kept")], "task")

    again, versions = successor(saver, first, {"messages": ["final"], "dropped": ABSENT}, id=first["id"])
    await saver.aput(at("t"), again, meta(source="update", step=2), versions)

    found = await get(saver, config)
    assert found.checkpoint["channel_values"] == {"messages": ["final"]}
    assert (found.metadata["source"], found.metadata["step"]) == ("update", 2)
    assert found.pending_writes == [("task", "messages", "kept")]
    assert await listed_ids(saver, at("t")) == [first["id"]]


async def test_put_of_an_existing_id_can_change_the_parent(saver: Any) -> None:
    first = await put(saver, at("t"), {"x": 1})
    made = checkpoint()
    config = await saver.aput(at("t"), made, meta(), {})
    assert (await get(saver, config)).parent_config is None
    await saver.aput(first, made, meta(), {})
    parent = (await get(saver, config)).parent_config
    assert parent is not None and place(parent) == place(first)


async def test_the_same_put_twice_is_one_checkpoint(saver: Any) -> None:
    made, versions = successor(saver, None, {"x": [1]})
    configs = [await saver.aput(at("t"), made, meta(), versions) for _ in range(2)]
    assert place(configs[0]) == place(configs[1])
    assert await listed_ids(saver, at("t")) == [made["id"]]
    assert await values_at(saver, at("t")) == {"x": [1]}
