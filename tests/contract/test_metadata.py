"""Metadata: what was given comes back, the run's config is folded in, secrets stay out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from langgraph.checkpoint.base import get_checkpoint_metadata

from .build import at, checkpoint, get, listed, meta


async def stored(saver: Any, config: Any, metadata: Any) -> dict[str, Any]:
    config = await saver.aput(config, checkpoint(), metadata, {})
    direct = (await get(saver, config)).metadata
    (from_list,) = await listed(saver, config)
    assert from_list.metadata == direct
    return dict(direct)


async def test_metadata_comes_back_equal(saver: Any) -> None:
    given = meta(
        "update",
        -1,
        parents={"": "id-1", "a:1|b:2": "id-2", "$x.y": "id-3"},
        nested={"list": [1, {"deep": [None, True, 1.5]}], "empty": {}},
        when=datetime(2026, 1, 2, tzinfo=UTC),
        tags={"a", "b"},
        **{"dotted.key": 1, "$dollar": 2, "": 3, "none": None},
    )
    assert await stored(saver, at("t"), given) == given


async def test_delta_counters_come_back_for_the_next_run(saver: Any) -> None:
    given = meta(counters_since_delta_snapshot={"log": (3, 7), "a.b": (0, 1)})
    found = await stored(saver, at("t"), given)
    assert {k: tuple(v) for k, v in found["counters_since_delta_snapshot"].items()} == {"log": (3, 7), "a.b": (0, 1)}


async def test_run_metadata_and_configurable_are_folded_in(saver: Any) -> None:
    config = {
        **at("t", user_id="u-7", __pregel_durability="async", langgraph_step=3, flag=True, obj=object(), ids=[1]),
        "metadata": {"run_id": "r-1", "score": 0.5, "source": "not-this", "nul": "a\0b", "listed": ["no"]},
    }
    given = meta("loop", 2)
    found = await stored(saver, config, given)
    assert found == get_checkpoint_metadata(config, given)
    assert found == {**given, "user_id": "u-7", "flag": True, "run_id": "r-1", "score": 0.5, "nul": "ab"}


async def test_identifiers_and_private_keys_are_not_metadata(saver: Any) -> None:
    found = await stored(saver, at("t", "child:1", "parent", checkpoint_map={"": "x"}, __secret="s"), meta())
    assert found == meta()


async def test_folded_in_metadata_can_be_filtered(saver: Any) -> None:
    await saver.aput({**at("t", user_id="u-7"), "metadata": {"run_id": "r-1"}}, checkpoint(), meta(), {})
    assert len(await listed(saver, at("t"), filter={"user_id": "u-7", "run_id": "r-1"})) == 1
    assert await listed(saver, at("t"), filter={"user_id": "u-8"}) == []


async def test_empty_metadata_stays_empty(saver: Any) -> None:
    assert await stored(saver, at("t"), {}) == {}
    assert len(await listed(saver, at("t"), filter={"source": None})) == 1
    assert await listed(saver, at("t"), filter={"source": "loop"}) == []


@pytest.mark.bridge_only
@pytest.mark.parametrize("key", ["api_key", "openai_api_key", "OPENAI_API_KEY", "password", "access_token", "secret"])
async def test_secrets_in_configurable_are_not_stored(saver: Any, key: str) -> None:
    found = await stored(saver, at("t", **{key: "sk-very-secret", "user_id": "u-7"}), meta())
    assert "sk-very-secret" not in repr(found)
    assert found["user_id"] == "u-7"
