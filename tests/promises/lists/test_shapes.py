"""Lists and dictionaries of every shape come back as `InMemorySaver` returns them: content, types and order."""

from __future__ import annotations

import copy
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from contract.build import ABSENT, checkpoint, get, listed, meta, new_id
from contract.compare import shape
from contract.samples import Note, Point
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from stores import Tiers

from .growing import NEVER, messages, orders, tidy, words


class Listed(list[Any]):
    """A list that is not just a list."""


class Keyed(dict[str, Any]):
    """A dictionary that is not just a dictionary."""


def texts(*numbers: int) -> list[str]:
    return [words(number) for number in numbers]


def notes(*numbers: int, **changed: Any) -> dict[str, Any]:
    return {f"k{number}": words(number) for number in numbers} | changed


LIVES: dict[str, Sequence[Any]] = {
    "empty, missing, none": [[], ABSENT, None, [], {}, ABSENT, (), "", texts(1, 2), [], texts(1), None, ABSENT, {}],
    "small and large": [[1], texts(1, 2), [1], texts(1, 2), [1, 2]],
    "flips": [texts(1, 2), texts(3), texts(1, 2), texts(3), texts(1, 2)],
    "tuples": [tuple(texts(1, 2)), tuple(texts(1, 2, 3)), texts(1, 2, 3), (*texts(1), 5), ()],
    "tuples inside": [[(1, words(1)), (2, words(2))], [(1, words(1)), (2, words(2)), [3, words(3)]]],
    "list subclass": [Listed(texts(1, 2)), Listed(texts(1, 2, 3)), texts(1, 2, 3), Listed([])],
    "keys of many types": [
        {1: words(1), "1": words(2), None: 3, 2.5: 4, "k": 5},
        {2: words(1)},
        notes(1),
        {(1, 2): words(1)},
    ],
    "dict subclasses": [
        Keyed(notes(1, 2)),
        OrderedDict(notes(2, 1)),
        defaultdict(list, notes(1)),
        notes(1, 2),
        Keyed(notes(1, 2)),
    ],
    "order of keys": [
        notes(1, 2, 3),
        notes(1, 2, 3, k1=words(9)),
        notes(2, 3),
        notes(2, 3, 1),
        notes(3, 2, 1),
        dict(reversed(notes(1, 2, 3).items())),
        notes(1, 2, 3),
    ],
    "keys beyond ascii": [
        {"é": words(1), "": words(2), "a.b": words(3), "$c": words(4), "x/y": words(5), "\0": words(6)}
    ],
    "lists become dictionaries": [
        texts(1, 2),
        notes(1, 2),
        [["k1", words(1)], ["k2", words(2)]],
        notes(1, 2),
        texts(1, 2),
    ],
    "text becomes a list": [words(1), texts(1), words(1), [texts(1)], texts(1)],
    "deltas": [
        _DeltaSnapshot(messages(0, 70)),
        _DeltaSnapshot(messages(0, 75)),
        messages(0, 75),
        _DeltaSnapshot(notes(1, 2)),
        _DeltaSnapshot(words(1)),
        _DeltaSnapshot([]),
    ],
    "nested deltas": [[_DeltaSnapshot(texts(1, 2))], [_DeltaSnapshot(texts(1, 2)), *texts(3)]],
    "numbers that look alike": [
        [1, True, 1.0, 0.0, -0.0, *texts(1)],
        [True, 1, 1.0, -0.0, 0.0, *texts(1)],
        [1.0, 1, True, 0, False, *texts(1)],
    ],
    "many numbers": [list(range(3000)), [*range(3000), 1], list(range(1, 3000)), list(range(3000))[::-1]],
    "moved": [texts(*range(100)), texts(*range(50, 100), *range(50)), texts(*range(99, -1, -1)), texts(*[1, 2] * 50)],
    "nothing but none": [[None] * 300, [None] * 301, [None, *texts(1), None]],
    "objects": [
        [Note("n", ["a"]), Point(1, words(1)), {1, 2}, 2**60],
        [Note("n", ["b"]), Point(1, words(1)), {1, 2}, -1],
    ],
    "bytes": [[words(1).encode(), b""], [words(1).encode(), b"", b"x"]],
    "lists of lists": [[texts(1, 2), texts(3)], [texts(1, 2), texts(3, 4)], [[], [[]], [[words(1)]]]],
    "one large element": [["a" * 100, words(1), "b" * (6 * 2**20), words(2)]],
}


async def lived(savers: Sequence[Any], values: Sequence[Any]) -> list[str]:
    """The same puts to every saver."""
    ids: list[str] = []
    versions: dict[str, str] = {}
    for value in values:
        versions = {**versions, "value": savers[0].get_next_version(max(versions.values(), default=None), None)}
        channels = {"other": words(1), **({} if value is ABSENT else {"value": value})}
        made = checkpoint(channels, {"other": "1", **versions}, id=new_id())
        new = {"value": versions["value"], **({} if ids else {"other": "1"})}
        config = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
        if ids:
            config["configurable"]["checkpoint_id"] = ids[-1]
        for saver in savers:
            await saver.aput(config, copy.deepcopy(made), meta(step=len(ids)), new)
        ids.append(made["id"])
    return ids


async def go_on(savers: Sequence[Any], id: str, turn: int) -> None:
    """Each saver puts what it read itself: once as unchanged, once as changed."""
    config = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": id}}
    for saver in savers:
        base = (await get(saver, config)).checkpoint
        for number, changed in enumerate([{}, {"value": f"9-{turn}", "other": f"9-{turn}"}]):
            new = {"step": f"{turn}", **changed}
            values, versions = {**base["channel_values"], "step": turn}, {**base["channel_versions"], **new}
            made = checkpoint(copy.deepcopy(values), versions, id=f"{id}-{turn}{number}")
            await saver.aput(config, made, meta(step=99), new)


async def check(ours: Any, reference: Any, ids: list[str]) -> None:
    by_list = {found.checkpoint["id"]: found for found in await listed(ours, {"configurable": {"thread_id": "t"}})}
    for id in ids:
        config = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": id}}
        wanted = (await get(reference, config)).checkpoint["channel_values"]
        for one in (await get(ours, config), by_list[id]):
            found = one.checkpoint["channel_values"]
            assert found == wanted and shape(found) == shape(wanted)
            assert orders(dict(sorted(found.items()))) == orders(dict(sorted(wanted.items())))


@pytest.mark.parametrize("life", LIVES)
async def test_every_shape_is_what_the_reference_returns(make_saver: Any, tiers: Tiers, life: str) -> None:
    """Hot, archived and compacted; and what was read is put again, by a process that did not put it first."""
    reference = InMemorySaver()
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        ids = await lived([one, reference], LIVES[life])
        await check(one, reference, ids)
        olds = [ids[0], ids[-1]]
        for turn, (old, saver) in enumerate(zip(olds, (two, one), strict=True)):
            await go_on((saver, reference), old, turn)
            ids += [f"{old}-{turn}{number}" for number in range(2)]
        await check(two, reference, ids)
        await tidy(one)
        await two.acompact(["t"])
        tiers.forget_hot()
        await check(two, reference, ids)


async def test_a_bytearray_in_a_list_is_what_the_reference_returns(make_saver: Any) -> None:
    """The stock serde keeps a bytearray that stands alone, and turns one inside a list into bytes."""
    reference = InMemorySaver()
    async with make_saver(**NEVER) as one:
        ids = await lived([one, reference], [[bytearray(300), *texts(1)], bytearray(300), (bytearray(300), *texts(1))])
        await check(one, reference, ids)


async def test_a_large_element_is_stored_once_while_its_list_grows(make_saver: Any, tiers: Tiers) -> None:
    reference = InMemorySaver()
    log = [words(1), "large " * 2**20, words(2)]
    async with make_saver(**NEVER) as one, make_saver(**NEVER) as two:
        ids = await lived([one, reference], [log, [*log, words(3)], [*log, words(3), words(4)], [words(0), *log]])
        await one.aflush()
        assert tiers.count("x") == 2, "six MB are two chunks"
        await check(two, reference, ids)
        tiers.forget_hot()
        await check(two, reference, ids)


async def test_an_element_just_below_and_above_a_chunk_is_whole(make_saver: Any, tiers: Tiers) -> None:
    reference, edge = InMemorySaver(), 4 * 2**20
    log = ["x" * (edge - 40 + number) for number in range(0, 48, 12)]
    async with make_saver(**NEVER) as one:
        ids = await lived([one, reference], [log[:2], log])
        await tidy(one)
        tiers.forget_hot()
        await check(one, reference, ids)
