"""What was exported as JSONL is the same session again: in another database, under another id, for another user."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import Command
from pydantic import BaseModel
from stores import emptied

from langgraph_session_bridge import InvalidInputError, SessionBridge, SessionConflictError, SessionNotFoundError
from langgraph_session_bridge.checkpoint.dumping import Restoring
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.errors import ConfigurationError, InvalidTypeError, UnavailableError
from langgraph_session_bridge.sessions.branches.templates import THREAD
from langgraph_session_bridge.sessions.export import importing
from langgraph_session_bridge.sessions.manager import SessionManager
from langgraph_session_bridge.sessions.stores.memory_store import MemorySessionStore
from langgraph_session_bridge.storage.facets import packed, unpacked
from sessions.conftest import OpenBridge
from sessions.storied import API_KEY, PASSWORD, storied_graph, tell_story

SHARED = {"session_id", "thread_id", "key"}


class Note(BaseModel):
    text: str


@pytest.fixture
async def elsewhere(servers: EmbeddedServers) -> AsyncIterator[SessionBridge]:
    """A bridge on another, empty database, without a journal."""
    with emptied(servers, "sessions_elsewhere") as name:
        async with SessionBridge.from_conn_string(servers.mongodb_uri, database=name, prefix=name) as bridge:
            yield bridge


async def all_of(bridge: SessionBridge, session_id: str) -> dict[str, Any]:
    """Everything that can be read of a session, without the ids that it is found by."""
    records = bridge.records
    checkpoints = [
        (
            t.checkpoint,
            t.metadata,
            sorted(t.pending_writes or (), key=str),
            t.parent_config and t.parent_config["configurable"]["checkpoint_id"],
        )
        async for t in bridge.saver.alist({"configurable": {"thread_id": session_id}})
    ]
    found = {
        "tools": await records.tool_executions(session_id),
        "contexts": await records.context_injections(session_id),
        "events": await records.events(session_id),
        "audio": await records.audio(session_id),
        "notes": await records.of_kind(session_id, "note"),
    }
    plain = {name: [record.model_dump(exclude={"seq", "thread_id"}) for record in each] for name, each in found.items()}
    return {
        **plain,
        "checkpoints": checkpoints,
        "full": await bridge.messages(session_id, view="full"),
        "model": await bridge.messages(session_id, view="model"),
        "condensations": await bridge.condensations(session_id),
        "session": (await bridge.sessions.get(session_id)).model_dump(exclude=SHARED),
        "timeline": [entry.model_dump() for entry in await bridge.sessions.timeline(session_id)],
    }


async def told(bridge: SessionBridge) -> dict[str, Any]:
    """A session with everything that there can be, and all that can be read of it."""
    await tell_story(bridge)
    bridge.records.register("note", Note)
    bridge.records.record("s", Note(text="the customer called twice"), record_id="n1")
    await bridge.audio("s").provider("openai", session_id="o-1", resumption_handle="h-9")
    await bridge.sessions.pause("s", reason="lunch")
    return await all_of(bridge, "s")


@pytest.mark.parametrize("journal", [True, False])
async def test_everything_is_there_again_in_another_database(
    open_bridge: OpenBridge, elsewhere: SessionBridge, tmp_path: Path, journal: bool
) -> None:
    path = tmp_path / "s.jsonl"
    async with open_bridge(journal=journal) as bridge:
        before = await told(bridge)
        assert await bridge.sessions.export("s", to=path) == len(path.read_text())
    elsewhere.records.register("note", Note)
    session = await elsewhere.sessions.import_(path)
    assert (session.session_id, session.thread_id, session.user_id, session.status) == ("s", "s", "u-7", "paused")
    after = await all_of(elsewhere, "s")
    assert set(before) == set(after) and len(before["checkpoints"]) > 20 and before["condensations"]
    for name, value in before.items():
        assert value == after[name], name
    page = await elsewhere.sessions.list(user_id="u-7", tags="parcel")
    assert [found.session_id for found in page.sessions] == ["s"]


async def test_a_session_goes_on_under_another_id_beside_its_original(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        before = await told(bridge)
        lines = (await bridge.sessions.export("s")).splitlines()
        session = await bridge.sessions.import_(iter(lines), "twin")
        assert (session.session_id, session.thread_id) == ("twin", "twin")
        after = await all_of(bridge, "twin")
        for name in set(before) - {"condensations"}:
            assert before[name] == after[name], name
        await bridge.sessions.resume("twin")
        graph, config = storied_graph(bridge), bridge.config("twin")
        await graph.ainvoke({"messages": [HumanMessage("still there?")]}, config)
        whole = await bridge.messages("twin")
        assert whole[: len(before["full"])] == before["full"] and whole[len(before["full"])].content == "still there?"
        assert await all_of(bridge, "s") == before, "the original is as it was"
        await bridge.sessions.delete("twin")
        assert await all_of(bridge, "s") == before


async def test_an_interrupted_session_waits_and_is_answered_where_it_was_imported(
    open_bridge: OpenBridge, elsewhere: SessionBridge
) -> None:
    async with open_bridge() as bridge:
        graph = storied_graph(bridge)
        await bridge.sessions.create("s")
        for text in ("Where is it?", "Refund it."):
            await graph.ainvoke({"messages": [HumanMessage(text)]}, bridge.config("s"))
        lines = (await bridge.sessions.export("s")).splitlines()
    assert (await elsewhere.sessions.import_(lines)).status == "interrupted"
    found = await elsewhere.sessions.resume("s")
    assert [waiting.value["question"][:6] for waiting in found.pending_interrupts] == ["Refund"]
    again = storied_graph(elsewhere)
    state = await again.ainvoke(Command(resume="approved"), elsewhere.config("s"))
    assert any("refunded 7.90 € (approved)" in str(message.content) for message in state["messages"])


async def test_a_session_that_did_nothing_yet_is_exported_and_imported(
    open_bridge: OpenBridge, elsewhere: SessionBridge
) -> None:
    async with open_bridge() as bridge:
        metadata = {"lines": "one\u2028two\x85three"}
        made = await bridge.sessions.create("empty", thread_id="thread-of-empty", title="none yet", metadata=metadata)
        text = await bridge.sessions.export("empty")
        assert [json.loads(line)["type"] for line in text.splitlines()] == ["session", "record", "end"]
        assert [entry.kind for entry in await bridge.sessions.timeline("empty")] == ["transition"]
    assert await elsewhere.sessions.import_(text) == made
    assert (await elsewhere.sessions.get("empty")).thread_id == "thread-of-empty"


async def test_importing_twice_is_refused_and_changes_nothing(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        before = await told(bridge)
        text = await bridge.sessions.export("s")
        with pytest.raises(SessionConflictError, match="exists already"):
            await bridge.sessions.import_(text.splitlines())
        await bridge.saver.aput_writes(
            {"configurable": {"thread_id": "other", "checkpoint_ns": "", "checkpoint_id": "c"}}, [("x", 1)], "t"
        )
        with pytest.raises(SessionConflictError, match="holds something already"):
            await bridge.sessions.import_(text.splitlines(), "other")
        assert await all_of(bridge, "s") == before


async def test_of_imports_at_the_same_time_one_succeeds(open_bridge: OpenBridge, elsewhere: SessionBridge) -> None:
    async with open_bridge() as bridge:
        before = await told(bridge)
        lines = (await bridge.sessions.export("s")).splitlines()
    elsewhere.records.register("note", Note)
    done = await asyncio.gather(*[elsewhere.sessions.import_(lines) for _ in range(4)], return_exceptions=True)
    refused = [found for found in done if isinstance(found, (SessionConflictError, UnavailableError))]
    assert len(refused) == 3, done
    after = await all_of(elsewhere, "s")
    assert {name for name in before if before[name] != after[name]} == set()


async def test_a_session_is_nobodys_to_continue_until_all_of_it_is_there(
    open_bridge: OpenBridge, elsewhere: SessionBridge
) -> None:
    async with open_bridge() as bridge:
        await tell_story(bridge, turns=0)
        lines = (await bridge.sessions.export("s")).splitlines()
    seen: list[Any] = []

    class Spy(Restoring):
        async def store(self, rows: Any) -> None:
            session = await elsewhere.sessions.get("s")
            seen.append((session.status, set(session.metadata), [found.session_id for found in await all_sessions()]))
            await super().store(rows)
            if len(seen) > 1:
                raise UnavailableError("the network is gone")

    async def all_sessions() -> Any:
        return await elsewhere.sessions.search()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "Restoring", Spy)
        patch.setattr(importing, "_PAGE", 30)
        with pytest.raises(UnavailableError):
            await elsewhere.sessions.import_(lines)
    assert seen == [("ended", {"import"}, ["s"])] * 2
    assert await elsewhere.sessions.count() == 0, "what was cut off is taken back"
    assert (await elsewhere.sessions.import_(lines)).status == "active"


async def test_imports_of_a_user_belong_to_that_user(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        await tell_story(bridge, turns=0)
        mine, theirs = bridge.sessions.for_user("u-7"), bridge.sessions.for_user("u-8")
        text = await mine.export("s")
        for reach in (
            theirs.export("s"),
            theirs.timeline("s"),
            theirs.replay("s", speed=None),
            theirs.export_chunks("s"),
        ):
            with pytest.raises(SessionNotFoundError):
                await reach
        with pytest.raises(SessionConflictError):
            await theirs.import_(text.splitlines())
        with pytest.raises(InvalidInputError, match="for one user"):
            await theirs.import_(text.splitlines(), "copy", user_id="u-7")
        assert (await theirs.import_(text.splitlines(), "copy")).user_id == "u-8"
        with pytest.raises(SessionNotFoundError):
            await mine.get("copy")
        assert (await bridge.sessions.import_(text.splitlines(), "third", user_id="u-9")).user_id == "u-9"
        assert (await bridge.sessions.import_(text.splitlines(), "fourth")).user_id == "u-7"


def changed(line: str, **fields: Any) -> str:
    return json.dumps({**json.loads(line), **fields})


NONSENSE = base64.b64encode(b"nonsense").decode()
SPOILT: list[tuple[str, Any, str]] = [
    ("no JSON", lambda lines: [*lines[:2], "{", *lines[3:]], r"line 3: it is no JSON"),
    ("an empty line", lambda lines: [*lines[:2], "", *lines[3:]], r"line 3: it is empty"),
    ("no base64", lambda lines: [*lines[:1], changed(lines[1], facets="%"), *lines[2:]], r"line 2: its `facets` is no"),
    (
        "no BSON",
        lambda lines: [*lines[:1], changed(lines[1], facets=NONSENSE), *lines[2:]],
        r"line 2: it holds no facets",
    ),
    ("no document", lambda lines: [*lines[:-2], changed(lines[-2], bson=NONSENSE), lines[-1]], r"it holds no document"),
    (
        "a strange type",
        lambda lines: [*lines[:1], changed(lines[1], type="poem"), *lines[2:]],
        r"line 2: there is no type",
    ),
    (
        "the wrong type",
        lambda lines: [*lines[:-2], changed(lines[-2], type="writes"), lines[-1]],
        r"it holds no writes",
    ),
    ("cut off", lambda lines: lines[:-1], r"the file was cut off"),
    ("a line missing", lambda lines: [*lines[:3], *lines[4:]], r"there should be \d+ lines"),
    ("no session", lambda lines: lines[1:], r"line 1: an export begins with the line of its session"),
    ("two sessions", lambda lines: [lines[0], *lines], r"line 2: an export begins"),
    (
        "no version",
        lambda lines: [*lines[:1], changed(lines[1], schema_version="1"), *lines[2:]],
        r"no `schema_version`",
    ),
    (
        "a later version",
        lambda lines: [*lines[:1], changed(lines[1], schema_version=2), *lines[2:]],
        r"Line 2 .* Update it",
    ),
    ("another format", lambda lines: [changed(lines[0], format="x"), *lines[1:]], r"no export that can be imported"),
    ("redacted", lambda lines: [changed(lines[0], redacted=True), *lines[1:]], r"was redacted"),
    ("nothing at all", lambda lines: [], r"the last line is missing"),
    ("after the end", lambda lines: [*lines, lines[-1]], r"something after the last line"),
]


@pytest.mark.parametrize(("spoil", "message"), [pytest.param(*row[1:], id=row[0]) for row in SPOILT])
async def test_lines_that_cannot_be_used_are_named_and_nothing_is_written(
    open_bridge: OpenBridge, spoil: Any, message: str
) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("s")
        await storied_graph(bridge).ainvoke({"messages": [HumanMessage("hello")]}, bridge.config("s"))
        lines = (await bridge.sessions.export("s")).splitlines()
        await bridge.sessions.delete("s")
        with pytest.raises(InvalidInputError, match=message):
            await bridge.sessions.import_(spoil(lines))
        assert await bridge.sessions.count() == 0
        assert [found async for found in bridge.saver.alist({"configurable": {"thread_id": "s"}})] == []
        assert (await bridge.sessions.import_(lines)).session_id == "s"


async def test_what_another_key_encrypted_is_refused_before_anything_is_written(
    open_bridge: OpenBridge, servers: EmbeddedServers
) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("s")
        await storied_graph(bridge).ainvoke({"messages": [HumanMessage("hello")]}, bridge.config("s"))
        lines = (await bridge.sessions.export("s")).splitlines()
    spoilt = []
    for line in lines:
        value = json.loads(line)
        if value["type"] == "checkpoint":
            raw = base64.b64decode(value["bson"]).replace(b"msgpack", b"unknown")
            value["bson"] = base64.b64encode(raw).decode()
        spoilt.append(json.dumps(value))
    async with open_bridge(journal=False) as bridge:
        with pytest.raises(InvalidInputError, match="encrypted with another key"):
            await bridge.sessions.import_(spoilt)
        assert await bridge.sessions.count() == 0


async def test_lossless_exports_keep_secrets_and_redacted_ones_do_not(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        await tell_story(bridge, turns=0)
        whole = await bridge.sessions.export("s")
        raw = b"".join(
            base64.b64decode(value.get("bson") or value.get("facets") or "")
            for value in map(json.loads, whole.splitlines())
        )
        assert API_KEY.encode() in raw and PASSWORD in whole
        clean = await bridge.sessions.export("s", redact=True)
        assert API_KEY not in clean and PASSWORD not in clean and "<redacted>" in clean
        assert {json.loads(line)["type"] for line in clean.splitlines()} == {"session", "entry", "end"}
        with pytest.raises(InvalidInputError, match="was redacted"):
            await bridge.sessions.import_(clean.splitlines(), "clean")


async def test_what_is_no_export_is_refused(open_bridge: OpenBridge, tmp_path: Path) -> None:
    async with open_bridge() as bridge:
        with pytest.raises(InvalidInputError, match="cannot be read"):
            await bridge.sessions.import_(tmp_path / "missing")
        with pytest.raises(InvalidTypeError):
            await bridge.sessions.import_(7)  # type: ignore[arg-type]
        with pytest.raises(InvalidTypeError):
            await bridge.sessions.import_([b"{}"])  # type: ignore[list-item]
        (tmp_path / "binary").write_bytes(b"\xff\xfe{}")
        with pytest.raises(InvalidInputError, match="no UTF-8"):
            await bridge.sessions.import_(tmp_path / "binary")


async def test_a_manager_of_a_store_alone_exports_nothing() -> None:
    async with SessionManager(MemorySessionStore()) as manager:
        await manager.create("s")
        for reach in (manager.export("s"), manager.import_([]), manager.timeline("s")):
            with pytest.raises(ConfigurationError, match="store alone"):
                await reach


def with_life(lines: list[str], **changes: Any) -> list[str]:
    """An export whose session says something else of itself."""
    rows = []
    for line in lines:
        row = json.loads(line)
        if row["type"] == "record" and row["kind"] == "session":
            facets = [
                replace(each, value={**each.value, **changes}) if each.name == "life" else each
                for each in unpacked(base64.b64decode(row["facets"]))
            ]
            row["facets"] = base64.b64encode(packed(facets)).decode()
        rows.append(json.dumps(row))
    return rows


@pytest.mark.parametrize("changes", [{"thread_id": THREAD}, {"key": "soon"}, {"key": "f" * 16 + ".0"}])
async def test_a_session_that_cannot_be_one_is_refused(open_bridge: OpenBridge, changes: dict[str, str]) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("s")
        lines = with_life((await bridge.sessions.export("s")).splitlines(), **changes)
        await bridge.sessions.delete("s")
        for name in (None, "t"):
            with pytest.raises(InvalidInputError, match="its session cannot be used"):
                await bridge.sessions.for_user("u-1").import_(lines, name)
        assert await bridge.sessions.count() == 0
