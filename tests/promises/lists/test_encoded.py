"""Encrypted and compressed lists: shared like others, exact like others, and unreadable or smaller in the store."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from stores import Tiers

from .growing import NEVER, Story, called, message, messages, tidy

MB = 1024 * 1024
SECRET = "nobody may read this"


def encrypted() -> EncryptedSerializer:
    return EncryptedSerializer.from_pycryptodome_aes(key=b"0123456789abcdef")


ENCODINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "encrypted": {"serde": encrypted},
    "compressed": {"compression": "zstd"},
    "both": {"serde": encrypted, "compression": "zstd"},
}


def options(encoding: str) -> dict[str, Any]:
    chosen = dict(ENCODINGS[encoding])
    return {**NEVER, **chosen, **({"serde": chosen["serde"]()} if "serde" in chosen else {})}


async def lived(one: Any, two: Any, tiers: Tiers) -> Story:
    """Appends, edits, a fork, dictionaries, large elements, thinned writes and compaction, in one thread."""
    story = Story()
    start = [called(0), *messages(1, 60, 60)]
    large, more = "large " * 800_000, "more " * 900_000
    await story.put(one, {"messages": start, "notes": {f"k{n}": [f"note {n} " * 30, n] for n in range(9)}})
    await story.put(one, {"log": [large, "entry " * 30], "text": "a text of its own " * 40})
    for number in range(60, 70):
        await story.put(one, {"messages": [*start, *messages(60, number + 1)]})
    await story.check_head(two)
    await story.write(one, ("messages", new := [called(800), message(801)]), ("log", more))
    await story.put(one, {"messages": [*start[:-1], *new], "log": ["entry " * 30, more]})
    await tidy(one)
    await story.check_head(two)
    tiers.forget_hot()
    old = sorted(story.nodes)[5]
    await two.aget_tuple(story.at(old))
    await story.put(two, {"messages": [*story.nodes[old].values["messages"], message(500)], "notes": {}}, parent=old)
    await two.acompact(["t"])
    return story


@pytest.mark.parametrize("encoding", ["compressed", pytest.param("both", marks=pytest.mark.slow)])
async def test_a_life_of_a_thread_is_exact_however_it_is_encoded(make_saver: Any, tiers: Tiers, encoding: str) -> None:
    async with make_saver(**options(encoding)) as one, make_saver(**options(encoding)) as two:
        story = await lived(one, two, tiers)
        tiers.forget_hot()
        await story.check(two)
        gone = sorted(story.nodes)[::2]
        await two.adelete_for_runs([f"run-{id}" for id in gone])
        story.forget(*gone)
        await story.check_listed(one)
        await one.acopy_thread("t", "copy")
        copied = story.copied("copy")
        await two.aprune(["t"])
        story.keep(story.head)
        await story.check(one, two)
        await one.adelete_thread("t")
        await copied.check_listed(two)


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_appending_to_a_list_of_a_hundred_stores_one_message(
    make_saver: Any, tiers: Tiers, encoding: str
) -> None:
    async with make_saver(**options(encoding)) as one, make_saver(**options(encoding)) as two:
        story = Story()
        await story.put(one, {"messages": messages(0, 100)})
        await one.aflush()
        whole = tiers.size("s")
        for number, saver in enumerate((one, two, one), 100):
            await saver.aget_tuple(story.at())
            await story.put(saver, {"messages": messages(0, number + 1)})
            await saver.aflush()
        assert tiers.size("s") - whole < 3 * 1000
        await story.check(one, two)


@pytest.mark.parametrize("encoding", ["encrypted", "both"])
async def test_nothing_of_an_encrypted_list_is_readable_in_either_tier(
    make_saver: Any, tiers: Tiers, encoding: str
) -> None:
    async with make_saver(**options(encoding)) as saver:
        story = Story()
        secret = message(1)
        secret.content = f"{SECRET} " * 20
        await story.put(saver, {"messages": [secret, message(2)], "notes": {SECRET: SECRET * 30, "b": "c" * 300}})
        await story.write(saver, ("messages", [secret]), ("large", SECRET * 200_000))
        await story.put(saver, {"messages": [secret, message(2), secret], "large": SECRET * 200_000})

        def readable() -> list[str]:
            hot = [f"hot {name}" for fields in tiers.hot().values() for name, raw in fields.items() if hidden(raw)]
            return hot + tiers.holding(SECRET) + tiers.holding("word 2")

        def hidden(raw: bytes) -> bool:
            return SECRET.encode() in raw or b"word 2" in raw

        assert not readable()
        await tidy(saver)
        await saver.acompact(["t"])
        assert not readable()
        await story.check(saver)


async def test_the_search_for_readable_text_finds_it_where_nothing_is_encrypted(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as saver:
        await Story().put(saver, {"messages": messages(0, 5), "notes": {"a": SECRET * 30}})
        await saver.aflush()
        assert tiers.holding(SECRET) and tiers.holding("word 2")


async def test_compressed_lists_are_smaller_in_both_tiers(make_saver: Any, tiers: Tiers, backend: str) -> None:
    sizes = {}
    for compression in ("none", "zstd"):
        async with make_saver(**NEVER, compression=compression) as saver:
            story = Story(compression)
            await story.put(
                saver, {"messages": messages(0, 70, 2000), "notes": {f"k{n}": f"note {n} " * 200 for n in range(9)}}
            )
            await story.put(saver, {"messages": messages(0, 71, 2000)})
            hot = sum(map(len, tiers.hot().get(compression, {}).values()))
            await tidy(saver)
            sizes[compression] = (tiers.size(thread=compression), hot)
            await story.check(saver)
    assert sizes["zstd"][0] < sizes["none"][0] / 4
    assert backend.startswith("mongo") or sizes["zstd"][1] < sizes["none"][1] / 4


async def test_savers_with_and_without_compression_go_on_with_each_others_lists(make_saver: Any, tiers: Tiers) -> None:
    async with make_saver(**NEVER) as plain, make_saver(**NEVER, compression="zstd") as short:
        story = Story()
        for number in range(40):
            saver = (plain, short)[number % 2]
            await saver.aget_tuple(story.at())
            await story.put(saver, {"messages": messages(0, number + 1)})
            if number == 20:
                await short.acompact(["t"])
                tiers.forget_hot()
        await story.check(plain, short)
        await plain.acompact(["t"])
        tiers.forget_hot()
        await story.check(short, plain)
        await short.aprune(["t"])
        story.keep(story.head)
        await story.check(plain)
