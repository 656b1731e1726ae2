"""The serializer is the caller's: custom, encrypted, strict; and an allow-list clone shares the store."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from .build import at, get, listed, meta, put, values_at
from .samples import Address, Note, Person

KEY = b"0123456789abcdef"
STATE: dict[str, Any] = {
    "messages": [HumanMessage("hi", id="h"), AIMessage("ho", id="a")],
    "blob": b"\x00\xff",
    "none": None,
    "empty": [],
    "nested": {"a": [1, 2]},
}


class PlainJson:
    """A serializer that knows nothing but JSON, and says so in its type name."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return "my-json", json.dumps(obj).encode()

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        kind, payload = data
        if kind != "my-json":
            raise ValueError(f"not mine: {kind}")
        return json.loads(payload)


class UntypedJson:
    """A serializer of the old protocol, without the typed methods."""

    def dumps(self, obj: Any) -> bytes:
        return json.dumps(obj).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


def encrypted(key: bytes = KEY) -> EncryptedSerializer:
    return EncryptedSerializer.from_pycryptodome_aes(key=key)


async def put_grow_and_read(saver: Any, state: dict[str, Any]) -> Any:
    config = await put(saver, at("t"), state, meta(tags=["a"]))
    previous = (await get(saver, config)).checkpoint
    grown = {key: [*value, value[0]] for key, value in state.items() if isinstance(value, list) and value}
    config = await put(saver, config, grown, meta(step=1), parent=previous)
    await saver.aput_writes(config, list(state.items()), "task")
    found = await get(saver, config)
    assert found.checkpoint["channel_values"] == {**state, **grown}
    assert found.pending_writes == [("task", key, value) for key, value in state.items()]
    assert [f.metadata["step"] for f in await listed(saver, at("t"))] == [1, 0]
    return config


@pytest.mark.parametrize("serde", [PlainJson(), UntypedJson()], ids=["typed", "untyped"])
async def test_a_custom_serializer_is_used_for_everything(make_saver: Any, serde: Any) -> None:
    async with make_saver(serde=serde) as saver:
        await put_grow_and_read(saver, {"list": [1, {"a": [2]}], "text": "é", "none": None, "empty": []})


async def test_an_encrypted_saver_round_trips(make_saver: Any) -> None:
    async with make_saver(serde=encrypted()) as saver:
        config = await put_grow_and_read(saver, STATE)
    async with make_saver(serde=encrypted()) as again:
        assert (await values_at(again, config))["blob"] == b"\x00\xff"


async def test_an_encrypted_saver_reads_what_was_stored_in_the_clear(make_saver: Any) -> None:
    async with make_saver() as plain:
        config = await put(plain, at("t"), STATE)
    async with make_saver(serde=encrypted()) as saver:
        assert await values_at(saver, config) == STATE


async def test_the_wrong_key_reads_nothing(make_saver: Any) -> None:
    async with make_saver(serde=encrypted()) as saver:
        config = await put(saver, at("t"), STATE)
    async with make_saver(serde=encrypted(b"fedcba9876543210")) as thief:
        with pytest.raises(ValueError, match=r"MAC|[Dd]ecrypt|verif"):
            await thief.aget_tuple(config)


async def test_savers_with_different_serializers_share_no_decoded_value(make_saver: Any) -> None:
    """A cache of decoded values must be keyed by serializer."""
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)
    async with make_saver() as permissive, make_saver(serde=strict) as guarded:
        config = await put(permissive, at("t"), {"note": Note("n"), "notes": [Note("n")]})
        assert (await values_at(permissive, config))["note"] == Note("n")
        assert type((await values_at(guarded, config))["note"]) is dict
        assert type((await values_at(guarded, config))["notes"][0]) is dict
        assert (await values_at(permissive, config))["notes"] == [Note("n")]


async def test_strict_msgpack_keeps_messages_and_refuses_unknown_types(make_saver: Any) -> None:
    async with make_saver(serde=JsonPlusSerializer(allowed_msgpack_modules=None)) as saver:
        config = await put(saver, at("t"), {**STATE, "note": Note("secret")})
        values = await values_at(saver, config)
        assert values["messages"] == STATE["messages"]
        assert not isinstance(values["note"], Note)


async def test_strict_msgpack_admits_what_is_on_the_allowlist(make_saver: Any) -> None:
    serde = JsonPlusSerializer(allowed_msgpack_modules=[Note, ("contract.samples", "Person"), Address])
    async with make_saver(serde=serde) as saver:
        person = Person(name="Ada", address=Address(street="Main"))
        config = await put(saver, at("t"), {"note": Note("n", ["a"]), "people": [person, person]})
        assert await values_at(saver, config) == {"note": Note("n", ["a"]), "people": [person, person]}


@pytest.mark.parametrize("wrap", [lambda serde: serde, lambda serde: EncryptedSerializer(encrypted().cipher, serde)])
async def test_with_allowlist_gives_a_clone_that_shares_the_store(make_saver: Any, wrap: Any) -> None:
    async with make_saver(serde=wrap(JsonPlusSerializer(allowed_msgpack_modules=None))) as saver:
        clone = saver.with_allowlist([("contract.samples", "Note")])
        assert clone is not saver and type(clone) is type(saver)

        config = await put(clone, at("t"), {"note": Note("n"), "list": [Note("a"), Note("b")]})
        await clone.aput_writes(config, [("x", Note("w"))], "task")
        assert await values_at(clone, config) == {"note": Note("n"), "list": [Note("a"), Note("b")]}
        assert not isinstance((await values_at(saver, config))["note"], Note)

        second = await put(saver, config, {"from": "original"}, parent=(await get(clone, config)).checkpoint)
        assert (await values_at(clone, second))["from"] == "original"
        await clone.adelete_thread("t")
        assert await saver.aget_tuple(at("t")) is None


async def test_dropping_an_allowlist_clone_does_not_close_the_saver(make_saver: Any) -> None:
    async with make_saver(serde=JsonPlusSerializer(allowed_msgpack_modules=None)) as saver:
        for n in range(3):
            clone = saver.with_allowlist([("contract.samples", "Note")])
            await put(clone, at(f"t{n}"), {"n": n})
            del clone
            assert await values_at(saver, at(f"t{n}")) == {"n": n}


async def test_with_allowlist_of_a_permissive_saver_is_the_saver_itself(make_saver: Any) -> None:
    async with make_saver(serde=JsonPlusSerializer(allowed_msgpack_modules=True)) as saver:
        assert saver.with_allowlist([("contract.samples", "Note")]) is saver
