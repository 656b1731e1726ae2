"""Channel versions: two branches never share one, and every kind that was ever stored stays readable."""

from __future__ import annotations

from typing import Any

import pytest

from .build import at, checkpoint, get, meta, values_at


def test_two_branches_never_share_a_version(saver: Any) -> None:
    for current in (None, saver.get_next_version(None, None)):
        minted = {saver.get_next_version(current, None) for _ in range(200)}
        assert len(minted) == 200


def test_versions_grow_and_compare_as_strings(saver: Any) -> None:
    versions = [saver.get_next_version(None, None)]
    for _ in range(120):
        versions.append(saver.get_next_version(versions[-1], None))
    assert all(isinstance(version, str) for version in versions)
    assert versions == sorted(versions)
    assert len(set(versions)) == len(versions)


def test_integer_versions_of_an_older_saver_can_be_continued(saver: Any) -> None:
    after = saver.get_next_version(41, None)
    assert isinstance(after, str)
    assert int(after.split(".")[0]) == 42


@pytest.mark.bridge_only
def test_float_versions_of_an_older_saver_can_be_continued(saver: Any) -> None:
    after = saver.get_next_version(41.5, None)
    assert isinstance(after, str)
    assert int(after.split(".")[0]) >= 42


@pytest.mark.parametrize("version", [1, 1.5, "1", "00000000000000000000000000000001.0.25", "a|b:c*{d}\n"])
async def test_stored_versions_keep_value_and_type(saver: Any, version: Any) -> None:
    made = checkpoint({"x": ["value"]}, {"x": version}, versions_seen={"node": {"x": version}})
    config = await saver.aput(at("t"), made, meta(), {"x": version})
    found = (await get(saver, config)).checkpoint
    assert found["channel_versions"] == {"x": version}
    assert found["versions_seen"] == {"node": {"x": version}}
    assert type(found["channel_versions"]["x"]) is type(version)
    assert found["channel_values"] == {"x": ["value"]}


async def test_versions_of_different_kinds_are_different_versions(saver: Any) -> None:
    configs = {}
    for version in (1, "1", 2, "2.0"):
        made = checkpoint({"x": repr(version)}, {"x": version})
        configs[version] = await saver.aput(at("t"), made, meta(), {"x": version})
    for version, config in configs.items():
        assert await values_at(saver, config) == {"x": repr(version)}


async def test_every_checkpoint_field_comes_back(saver: Any) -> None:
    made = checkpoint(
        {"x": 1},
        {"x": "1.a", "y.with.dots": "1.b", "$dollar": "1.c", "": "1.d"},
        versions_seen={"__input__": {}, "a.b": {"$x": "1.a"}, "": {"": "1.d"}},
        updated_channels=["x", "y.with.dots"],
    )
    config = await saver.aput(at("t"), made, meta(), made["channel_versions"])
    assert (await get(saver, config)).checkpoint == made


@pytest.mark.parametrize("updated", [None, [], ["b", "a"]])
async def test_updated_channels_are_kept_exactly(saver: Any, updated: Any) -> None:
    config = await saver.aput(at("t"), checkpoint(updated_channels=updated), meta(), {})
    assert (await get(saver, config)).checkpoint["updated_channels"] == updated


async def test_a_checkpoint_of_an_older_format_keeps_its_own_fields(saver: Any) -> None:
    made = checkpoint({}, {}, v=1, pending_sends=[])
    del made["updated_channels"]  # type: ignore[misc]
    config = await saver.aput(at("t"), made, meta(), {})
    assert (await get(saver, config)).checkpoint == made
