"""What leaves the state is in the archive first, exactly as it was, and stays there as safely as the rest."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import bson
import pytest
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pymongo import MongoClient
from redis import Redis

from langgraph_session_bridge import DataIntegrityError, SessionBridge, UnavailableError, ValueTooLargeError
from langgraph_session_bridge.condense.archive import ArchivedMessage, Condensation, MessageArchive, digest_of
from langgraph_session_bridge.condense.record_archive import RecordArchive
from langgraph_session_bridge.embedded import EmbeddedServers

from .conftest import NEVER, OpenBridge, condenser_of, summarizing
from .dialogues import START_MESSAGES, built, dumped, run, said, script, talk, thread

HOWS = pytest.mark.parametrize("how", ["sync", "async"])
MIB = 1024 * 1024

KINDS: list[BaseMessage] = [
    SystemMessage("You help.", id="system"),
    HumanMessage(
        [
            {"type": "text", "text": "what is this? \u00fc \U0001f600 \0"},
            {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        ],
        id="picture",
        name="Ada",
        additional_kwargs={"$odd.key": [1, 2.5, None, {"deep": True}]},
    ),
    AIMessage(
        [{"type": "text", "text": "I look it up."}],
        id="calls",
        tool_calls=[{"name": "lookup", "args": {"q": ["a", {"b": 1}]}, "id": "c1", "type": "tool_call"}],
        invalid_tool_calls=[{"name": "bad", "args": "{", "id": "c2", "error": "no JSON", "type": "invalid_tool_call"}],
        usage_metadata={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        response_metadata={"model_name": "scripted", "finish_reason": "tool_calls"},
    ),
    ToolMessage("found", tool_call_id="c1", id="found", artifact={"rows": [[1, "x"]], "raw": b"\0\1"}),
    ToolMessage("failed", tool_call_id="c2", id="failed", status="error", name="bad"),
    ChatMessage("a role of its own", role="critic", id="critic"),
    AIMessage("", id="empty"),
]


def taken(messages: Sequence[BaseMessage], **more: Any) -> tuple[list[ArchivedMessage], Condensation]:
    """All of these messages removed, and the record of it."""
    items = [
        ArchivedMessage(id=str(m.id), digest=digest_of(m), message=m, fate="removed", reason="old", position=n)
        for n, m in enumerate(messages)
    ]
    record = {"strategy": "test", "trigger": "9 messages", "replaced": {}, "inserted": [], "reasons": {}}
    sizes = {"tokens_before": 9, "tokens_after": 0}
    return items, Condensation(
        id=more.pop("id", "c"),
        thread_id="t",
        before=[i.id for i in items],
        after=[],
        removed={i.id: i.digest for i in items},
        **{**record, **sizes, **more},
    )


def pairs(items: Sequence[ArchivedMessage]) -> list[tuple[str, str]]:
    return [(item.id, item.digest) for item in items]


def documents(servers: EmbeddedServers, store: str, collection: str = "records") -> list[bytes]:
    with MongoClient(servers.mongodb_uri) as client:
        return sorted(bson.encode(row) for row in client[store][collection].find())


async def test_everything_in_a_message_is_read_back(bridge: SessionBridge, open_bridge: OpenBridge) -> None:
    items, record = taken(KINDS, summary="what it was about", usage={"input_tokens": 7}, model="scripted")
    await bridge.archive.keep("t", items, record)
    for reader in (bridge, open_bridge()):
        found = await reader.archive.messages("t", pairs(items))
        for item in items:
            read = found[item.id, item.digest]
            assert type(read) is type(item.message) and read.model_dump() == item.message.model_dump()
            assert digest_of(read) == item.digest
        assert await reader.archive.condensations("t") == [record]


async def test_a_large_message_is_stored_in_parts(
    bridge: SessionBridge, open_bridge: OpenBridge, servers: EmbeddedServers, store: str
) -> None:
    large = [HumanMessage("é" * (5 * MIB // 2), id="large"), AIMessage("x" * (11 * MIB), id="larger"), KINDS[1]]
    items, record = taken(large)
    await bridge.archive.keep("t", items, record)
    found = await open_bridge().archive.messages("t", pairs(items))
    assert [found[pair] == message for pair, message in zip(pairs(items), large, strict=True)] == [True] * 3
    with MongoClient(servers.mongodb_uri) as client:
        client[store]["records"].update_one(
            {"k": "message", "f.more-1": {"$exists": True}}, {"$unset": {"f.more-1": 1}}
        )
    with pytest.raises(DataIntegrityError, match="1 of its 2 parts"):
        await open_bridge().archive.messages("t", pairs(items)[:1])


async def test_the_same_again_changes_nothing(bridge: SessionBridge, servers: EmbeddedServers, store: str) -> None:
    items, record = taken(KINDS)
    await bridge.archive.keep("t", items, record)
    before = documents(servers, store)
    assert len(before) == len(KINDS) + 1
    again = record.model_copy(update={"summary": "told differently the second time"})
    for _ in range(2):
        await bridge.archive.keep("t", items, again)
    after = documents(servers, store)
    assert [_without_order(raw) for raw in after] == [_without_order(raw) for raw in before]
    assert await bridge.archive.condensations("t") == [record]


async def test_different_messages_may_have_one_id(bridge: SessionBridge) -> None:
    versions = [HumanMessage(text, id="same") for text in ("one", "two")]
    for n, version in enumerate(versions):
        await bridge.archive.keep("t", *taken([version], id=f"c{n}"))
    wanted = [("same", digest_of(version)) for version in versions]
    found = await bridge.archive.messages("t", [*wanted, ("same", "another"), ("none", "none")])
    assert found == dict(zip(wanted, versions, strict=True))


async def test_a_message_that_cannot_be_archived_is_not_trimmed(
    bridge: SessionBridge, servers: EmbeddedServers, store: str, caplog: pytest.LogCaptureFixture
) -> None:
    large = AIMessage("y" * (13 * MIB), id="too large")
    with pytest.raises(ValueTooLargeError, match="'too large' has 13,"):
        await bridge.archive.keep("t", *taken([KINDS[0], large]))
    assert documents(servers, store) == []
    whole = [*START_MESSAGES, large, *script(range(1, 6))]
    graph = built(bridge.saver, condenser_of(bridge))
    await run(graph, {"messages": [*whole, said(7)]})
    held = await bridge.messages("t", view="model")
    assert [m.id for m in held[: len(whole)]] == [m.id for m in whole]
    assert documents(servers, store) == [] and "'too large'" in caplog.text


@pytest.fixture
def nowhere() -> Iterator[SessionBridge]:
    """A bridge to servers that do not exist."""
    hasty = {"connect_timeout_s": 0.05, "operation_timeout_s": 0.1}
    with closing(SessionBridge.from_conn_string("mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=50", **hasty)) as made:
        yield made


class Switched:
    """An archive that can be out of reach: then it is one on servers that do not exist."""

    def __init__(self, there: MessageArchive, gone: MessageArchive) -> None:
        self.there, self.gone, self.down = there, gone, True

    async def keep(self, *what: Any) -> None:
        await (self.gone if self.down else self.there).keep(*what)

    def keep_blocking(self, *what: Any) -> None:
        (self.gone if self.down else self.there).keep_blocking(*what)


@HOWS
@pytest.mark.parametrize("guarded", [False, True], ids=["node", "guard"])
async def test_nothing_is_trimmed_while_the_archive_is_out_of_reach(
    bridge: SessionBridge, nowhere: SessionBridge, caplog: pytest.LogCaptureFixture, how: str, guarded: bool
) -> None:
    archive = Switched(bridge.archive, nowhere.archive)
    with pytest.raises(UnavailableError):
        await archive.keep("t", *taken(KINDS))
    condenser = condenser_of(bridge, archive=archive)
    if guarded:
        bridge.guard(condenser)
    graph = built(bridge.saver, None if guarded else condenser)
    with caplog.at_level(logging.WARNING, "langgraph_session_bridge.condense"):
        await talk(graph, range(6), how)
    assert dumped(await bridge.messages("t", view="model")) == dumped(script(range(6)))
    assert "could not be archived" in caplog.text and await bridge.archive.condensations("t") == []
    archive.down = False
    await talk(graph, [7], how)
    assert len(await bridge.messages("t", view="model")) < 14
    whole = script([7], before=script(range(6)))
    assert dumped(await bridge.messages("t")) == dumped(whole)


async def test_what_another_process_archived_and_did_not_flush_is_read(
    open_bridge: OpenBridge, servers: EmbeddedServers, store: str
) -> None:
    writer, reader = open_bridge(**NEVER, ack="cache"), open_bridge(**NEVER)
    archive = RecordArchive(writer.saver._runtime, writer.saver.serde, level="cache")
    graph = built(writer.saver, summarizing(writer, archive=archive))
    await talk(graph, range(10))
    assert len(await writer.messages("t", view="model")) < 20
    assert documents(servers, store) == []
    assert dumped(await reader.messages("t")) == dumped(script(range(10)))


async def test_by_default_it_is_in_mongodb_before_anything_is_trimmed(
    open_bridge: OpenBridge, servers: EmbeddedServers, store: str
) -> None:
    bridge = open_bridge(**NEVER, ack="cache")
    graph = built(bridge.saver, summarizing(bridge))
    seen = []
    for turn in range(8):
        async for update in graph.astream(
            {"messages": START_MESSAGES if turn == 0 else [said(turn)]}, thread(), stream_mode="updates"
        ):
            if update.get("condense"):
                removed = {m.id for m in update["condense"]["messages"] if m.type == "remove"}
                kept = {m.id for m in update["condense"]["messages"] if m.type != "remove"}
                stored = [bson.decode(raw) for raw in documents(servers, store)]
                names = {row["f"]["start"]["message_id"] for row in stored if row["k"] == "message"}
                seen.append(removed - kept - {"__remove_all__"} <= names)
    assert seen and all(seen)


async def test_no_plaintext_is_stored_where_the_serializer_encrypts(
    open_bridge: OpenBridge, servers: EmbeddedServers, store: str
) -> None:
    serde = EncryptedSerializer.from_pycryptodome_aes(key=b"0123456789abcdef")
    bridge = open_bridge(serde=serde, **NEVER, ack="cache")
    archive = RecordArchive(bridge.saver._runtime, serde, level="cache")
    condenser = summarizing(bridge, "A very private summary.", archive=archive)
    await talk(built(bridge.saver, condenser), range(10))
    assert any("very private" in str(c.summary) for c in await bridge.archive.condensations("t"))
    words = [b"very private", b"answer to", b"because of", b"found h", b"look up", b"order 4711"]
    in_redis = _everything_in_redis(servers, store)
    assert b"condensation" in in_redis
    assert [word for word in words if word in in_redis] == []
    await bridge.saver.aflush()
    in_mongodb = b"".join([*documents(servers, store), *documents(servers, store, "checkpoints")])
    assert b"condensation" in in_mongodb and [word for word in words if word in in_mongodb] == []
    assert dumped(await bridge.messages("t")) == dumped(script(range(10)))


async def test_a_strict_serializer_is_enough(open_bridge: OpenBridge, caplog: pytest.LogCaptureFixture) -> None:
    """`LANGGRAPH_STRICT_MSGPACK`: nothing of ours is in the state or the archive, only messages and plain data."""
    bridge = open_bridge(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    await talk(built(bridge.saver, summarizing(bridge)), range(10))
    reader = open_bridge(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    assert dumped(await reader.messages("t")) == dumped(script(range(10)))
    assert await reader.archive.condensations("t")
    assert "msgpack" not in caplog.text


@pytest.mark.parametrize("flushed", [True, False])
async def test_the_archive_goes_with_its_thread(
    open_bridge: OpenBridge, servers: EmbeddedServers, store: str, flushed: bool
) -> None:
    bridge = open_bridge(**NEVER)
    archive = RecordArchive(bridge.saver._runtime, bridge.saver.serde, level="majority" if flushed else "cache")
    graph = built(bridge.saver, summarizing(bridge, archive=archive))
    await talk(graph, range(8))
    items, record = taken(KINDS)
    await archive.keep("other", items, record)
    await bridge.saver.adelete_thread("t")
    assert await bridge.messages("t") == [] and await bridge.archive.condensations("t") == []
    await bridge.saver.aflush()
    left = [bson.decode(raw) for raw in documents(servers, store)]
    assert {row["t"] for row in left} == {"other"}
    await talk(graph, range(8))  # a new thread of the same name
    assert dumped(await bridge.messages("t")) == dumped(script(range(8)))
    assert await bridge.archive.condensations("other") == [record]


def _without_order(raw: bytes) -> dict[str, Any]:
    return {name: value for name, value in bson.decode(raw).items() if name != "o"}


def _everything_in_redis(servers: EmbeddedServers, store: str) -> bytes:
    found = b""
    with Redis.from_url(servers.redis_url) as redis:
        for key in redis.scan_iter(f"{store}:*", count=1000):
            found += key
            if redis.type(key) == b"hash":
                found += b"".join(part for item in redis.hgetall(key).items() for part in item)
            elif redis.type(key) == b"string":
                found += redis.get(key)
            else:
                found += redis.dump(key)
    return found
