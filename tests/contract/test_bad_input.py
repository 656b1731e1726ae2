"""Bad input is refused with a message that names what was wrong, before anything is stored."""

from __future__ import annotations

from typing import Any

import pytest

from .build import at, checkpoint, listed, meta, put

pytestmark = pytest.mark.bridge_only

NOT_STRINGS = [0, 7, 1.5, True, {"$gt": ""}, ["a"], ("a",), b"a"]
NOT_IDS = [None, *NOT_STRINGS]
LONE_SURROGATE = "broken-\ud800"


def refused(*words: str) -> Any:
    """A built-in error type whose message has every word."""
    pattern = "".join(f"(?=.*{word})" for word in words)
    return pytest.raises((TypeError, ValueError), match=f"(?s){pattern}")


@pytest.mark.parametrize("thread", [*NOT_IDS, LONE_SURROGATE], ids=ascii)
async def test_wrong_thread_id_is_refused_by_every_method(saver: Any, thread: Any) -> None:
    with refused("thread_id"):
        await saver.aput(at(thread), checkpoint(), meta(), {})
    with refused("thread_id"):
        await saver.aput_writes(at(thread, "", "c"), [("x", 1)], "task")
    with refused("thread_id"):
        await saver.aget_tuple(at(thread))
    with refused("thread_id"):
        await listed(saver, at(thread))
    with refused("thread_id"):
        await saver.adelete_thread(thread)
    with refused("thread_id"):
        await saver.acopy_thread(thread, "other")
    with refused("thread_id"):
        await saver.acopy_thread("other", thread)
    with refused("thread_id"):
        await saver.aprune([thread])
    with refused("thread_id"):
        await saver.aget_delta_channel_history(config=at(thread), channels=["x"])
    assert await listed(saver, None) == []


@pytest.mark.parametrize("ns", [*NOT_STRINGS, LONE_SURROGATE], ids=ascii)
async def test_wrong_checkpoint_ns_is_refused(saver: Any, ns: Any) -> None:
    with refused("checkpoint_ns"):
        await saver.aput(at("t", ns), checkpoint(), meta(), {})
    with refused("checkpoint_ns"):
        await saver.aput_writes(at("t", ns, "c"), [("x", 1)], "task")
    with refused("checkpoint_ns"):
        await saver.aget_tuple(at("t", ns))
    with refused("checkpoint_ns"):
        await listed(saver, at("t", ns))


@pytest.mark.parametrize("checkpoint_id", [*NOT_STRINGS[1:], LONE_SURROGATE], ids=ascii)
async def test_wrong_checkpoint_id_is_refused(saver: Any, checkpoint_id: Any) -> None:
    with refused("checkpoint_id"):
        await saver.aput(at("t", "", checkpoint_id), checkpoint(), meta(), {})
    with refused("checkpoint_id"):
        await saver.aput_writes(at("t", "", checkpoint_id), [("x", 1)], "task")
    with refused("checkpoint_id"):
        await saver.aget_tuple(at("t", "", checkpoint_id))
    with refused("checkpoint_id"):
        await listed(saver, at("t", "", checkpoint_id))
    with refused("checkpoint_id"):
        await listed(saver, at("t"), before=at("t", "", checkpoint_id))


@pytest.mark.parametrize("task", [*NOT_IDS, LONE_SURROGATE], ids=ascii)
async def test_wrong_task_id_and_path_are_refused(saver: Any, task: Any) -> None:
    config = await put(saver, at("t"))
    with refused("task_id"):
        await saver.aput_writes(config, [("x", 1)], task)
    with refused("task_path"):
        await saver.aput_writes(config, [("x", 1)], "task", task)


@pytest.mark.parametrize("checkpoint_id", [None, 7, {"$gt": ""}], ids=ascii)
async def test_a_checkpoint_without_a_proper_id_is_refused(saver: Any, checkpoint_id: Any) -> None:
    made = {**checkpoint(), "id": checkpoint_id}
    with refused("id"):
        await saver.aput(at("t"), made, meta(), {})
    assert await listed(saver, at("t")) == []


async def test_put_writes_without_checkpoint_id_is_refused(saver: Any) -> None:
    with refused("checkpoint_id"):
        await saver.aput_writes(at("t"), [("x", 1)], "task")


@pytest.mark.parametrize("config", [{}, {"configurable": {}}, {"configurable": {"checkpoint_ns": ""}}], ids=str)
async def test_missing_thread_id_or_configurable_says_what_to_pass(saver: Any, config: Any) -> None:
    missing = pytest.raises((KeyError, TypeError, ValueError), match="thread_id")
    with missing:
        await saver.aput(config, checkpoint(), meta(), {})
    with missing:
        await saver.aput_writes(config, [("x", 1)], "task")
    with missing:
        await saver.aget_tuple(config)
    if config:  # an empty config lists every thread, as None does in the reference saver
        with missing:
            await listed(saver, config)


async def test_run_ids_that_are_not_strings_are_refused(saver: Any) -> None:
    for run_id in ({"$gt": ""}, 7, None):
        with refused("run_id"):
            await saver.adelete_for_runs([run_id])


async def test_a_single_string_instead_of_a_list_is_refused(saver: Any) -> None:
    """`aprune("abc")` would otherwise prune the threads a, b and c."""
    await put(saver, at("a"))
    with refused("thread_ids"):
        await saver.aprune("a", strategy="delete")
    with refused("run_ids"):
        await saver.adelete_for_runs("a")
    assert len(await listed(saver, at("a"))) == 1


@pytest.mark.parametrize("limit", ["1", 1.5, {"$gt": 0}], ids=str)
async def test_a_limit_that_is_not_a_number_of_checkpoints_is_refused(saver: Any, limit: Any) -> None:
    with refused("limit"):
        await listed(saver, at("t"), limit=limit)


@pytest.mark.parametrize("channel", NOT_IDS[1:], ids=ascii)
async def test_a_channel_name_that_is_not_a_string_is_refused_in_writes(saver: Any, channel: Any) -> None:
    config = await put(saver, at("t"))
    with refused("channel"):
        await saver.aput_writes(config, [(channel, 1)], "task")


async def test_unserializable_state_is_refused_and_leaves_the_thread_as_it_was(saver: Any) -> None:
    config = await put(saver, at("t"), {"x": 1})
    bad = checkpoint({"x": lambda: None}, {"x": saver.get_next_version(None, None)})
    with pytest.raises(TypeError):
        await saver.aput(config, bad, meta(), dict(bad["channel_versions"]))
    with pytest.raises(TypeError):
        await saver.aput_writes(config, [("ok", 1), ("x", lambda: None)], "task")
    (found,) = await listed(saver, at("t"))
    assert found.checkpoint["channel_values"] == {"x": 1}
    assert found.pending_writes == []
