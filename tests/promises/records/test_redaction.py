"""A secret that a tool was called with, or answered with, is in neither server; what is cut keeps its size and hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from faults.harness import wait_until
from graphs import tooled
from langchain_core.callbacks.manager import dispatch_custom_event
from langchain_core.tools import tool
from pymongo import MongoClient
from redis import Redis

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.records.listeners import Event
from promises.records.conftest import OpenSaver

KEY = "sk-proj-" + "Q7zR2mX9" * 4
PASSWORD = "correct horse battery staple"
HALF = 2_500_000
PAGE = f"{'x' * 200} {KEY} {'y' * HALF} password={PASSWORD!r} {'z' * (HALF - 300)}"


@tool
def fetch(url: str, api_key: str, headers: dict[str, str]) -> str:
    """Fetches a large page that quotes the key it was fetched with."""
    return PAGE


@tool
def refuse(token: str) -> str:
    """Quotes its argument in its error."""
    raise ValueError(f"401: {token} is not valid")


def called_in_a_node(state: Any) -> Any:
    """Tools are called directly: no message, and so no checkpoint, has their arguments."""
    url = f"https://bot:{KEY}@example.test/page?api_key={KEY}"
    fetch.invoke({"url": url, "api_key": PASSWORD, "headers": {"Authorization": f"Bearer {KEY}"}})
    with pytest.raises(ValueError, match="401"):
        refuse.invoke({"token": KEY})
    dispatch_custom_event(f"noted {KEY}", {"seen": [KEY], "secret": {"is": PASSWORD}})
    tooled.Library().invoke(f"what is {KEY}?")
    return {"messages": []}


def searched(servers: EmbeddedServers, store: str) -> Iterator[tuple[str, bytes]]:
    """Everything in either server that is this store's, the log of MongoDB's replication included."""
    with MongoClient(servers.mongodb_uri) as mongo:
        for name in mongo[store].list_collection_names():
            yield from ((f"{name}/{row['_id']}", bson.encode(row)) for row in mongo[store][name].find())
        oplog = mongo["local"]["oplog.rs"].find({"ns": {"$in": [f"{store}.records", "admin.$cmd"]}})
        yield from (("oplog", bson.encode(row)) for row in oplog)
    with Redis.from_url(servers.redis_url) as redis:
        for key in redis.scan_iter(f"{store}:*", count=1000):
            kind = redis.type(key)
            if kind == b"hash":
                yield from ((f"{key!r} {name!r}", value) for name, value in redis.hgetall(key).items())
            elif kind == b"stream":
                yield f"{key!r}", repr(redis.xrange(key)).encode()
            elif kind == b"string":
                yield f"{key!r}", redis.get(key) or b""


def holding(servers: EmbeddedServers, secret: str, store: str = "records_both") -> list[str]:
    return [name for name, raw in searched(servers, store) if secret.encode() in raw]


@pytest.mark.parametrize("level", ["digest", "full", "none"])
def test_secrets_are_in_neither_server(open_saver: OpenSaver, servers: EmbeddedServers, level: str) -> None:
    told: list[Event] = []
    with SessionBridge(open_saver(capture=level)) as bridge:
        bridge.on("*", told.append)
        graph = tooled.node_graph(called_in_a_node, saver=bridge.saver)
        graph.invoke({"messages": []}, bridge.config("s", metadata={"api_key": KEY}))
        unsaved = tooled.node_graph(lambda state: {"messages": []})  # a checkpoint keeps metadata as it is given
        config = bridge.config("s", metadata={"note": f"key {KEY}", f"of {KEY}": "as a name"})
        unsaved.invoke({"messages": []}, {**config, "tags": [f"with {KEY}"], "run_name": f"run {KEY}"})
        bridge.records.record_tool_execution(
            "s",
            "outside",
            arguments={"password": PASSWORD},
            error=PermissionError(KEY),
            metadata={"cookie": PASSWORD, "note": KEY, f"of {KEY}": "as a name"},
        )
        bridge.context("s").put("Hold.", source=f"https://bot:{KEY}@example.test", label=f"label {KEY}")
        bridge.records.record_context_injection("s", "memory", f"the key is {KEY}", source="notes").wait(30)
        assert bridge._recording.outbox.drain(30)
        for place in ("Redis", "MongoDB"):
            assert [name for name, _ in searched(servers, "records_both") if "r:s" in name or "records/" in name]
            for secret in (KEY, KEY[:20], PASSWORD):
                assert holding(servers, secret) == [], place
            bridge.saver.flush()
        check(bridge, level)
        wait_until(lambda: any(event.name == "run.ended" for event in told), "told")
        for event in told:
            assert KEY not in str(event.values) and PASSWORD not in str(event.values)


def check(bridge: SessionBridge, level: str) -> None:
    """What was redacted and cut says how large it was, and what it was."""
    by_name = {record.tool_name: record for record in bridge.records.tool_executions("s")}
    result = by_name["fetch"].result
    assert result is not None
    assert (result.bytes, result.sha256) == (len(PAGE), hashlib.sha256(PAGE.encode()).hexdigest())
    assert result.bytes > 4_900_000 and result.content_type == "text/plain"
    arguments = by_name["fetch"].arguments
    assert arguments is not None and arguments.bytes > len(KEY) * 3
    kept = {"none": 0, "digest": 256, "full": 64 * 1024}[level]
    assert len(result.text or "") == kept and result.truncated == (level != "none")
    if level != "none":
        assert str(result.text).startswith("x" * 200 + " <redacted> yy")
        assert '"api_key":"<redacted>"' in str(arguments.text) and "https://bot:<redacted>@" in str(arguments.text)
    if level == "full":
        assert by_name["refuse"].error is not None
        assert by_name["refuse"].error.message == "401: <redacted> is not valid"


def test_the_search_finds_what_is_there(open_saver: OpenSaver, servers: EmbeddedServers) -> None:
    """The control: the same without redaction."""
    with SessionBridge(open_saver(capture="full", redact_keys="nothing^")) as bridge:
        bridge.records.record_tool_execution("s", "outside", arguments={"password": PASSWORD}).wait(30)
        assert any(":r:s" in name for name in holding(servers, PASSWORD))
        bridge.saver.flush()
        found = holding(servers, PASSWORD)
        assert any(name.startswith("records/") for name in found) and "oplog" in found
