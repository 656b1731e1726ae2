"""A session's timeline is complete and in order, and every format made from it says the same and gives nothing away."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, convert_to_messages
from markdown_it import MarkdownIt

from langgraph_session_bridge import InvalidInputError, SessionBridge
from langgraph_session_bridge.errors import InvalidTypeError
from langgraph_session_bridge.sessions.export.entries import KINDS, Entry
from langgraph_session_bridge.sessions.export.formats import FORMATS, FormatName
from langgraph_session_bridge.sessions.export.openai import openai_message
from langgraph_session_bridge.sessions.export.page import in_script
from langgraph_session_bridge.sessions.export.sharegpt import turns
from langgraph_session_bridge.sessions.export.texts import text_of
from sessions.conftest import OpenBridge
from sessions.storied import API_KEY, ARABIC, EMOJI, HOSTILE, PASSWORD, storied_graph, tell_story

REDACTED_BY_DEFAULT = [name for name in FORMATS if name != "jsonl"]


@pytest.fixture
async def bridge(open_bridge: OpenBridge) -> Any:
    async with open_bridge() as bridge:
        await tell_story(bridge)
        yield bridge


def test_every_format_is_registered() -> None:
    assert set(FORMATS) == set(get_args(FormatName))


async def test_the_timeline_has_everything_once_and_in_order(bridge: SessionBridge) -> None:
    await bridge.audio("s").provider("openai", session_id="o-1", resumption_handle="handle-9")
    entries = await bridge.sessions.timeline("s")
    assert "handle-9" not in "".join(map(repr, entries))
    assert [entry.n for entry in entries] == list(range(len(entries)))
    assert all(one.at <= two.at and one.turn <= two.turn for one, two in pairwise(entries))
    counts = Counter(entry.kind for entry in entries)
    assert counts["tool"] == len(await bridge.records.tool_executions("s")) == 5
    assert counts["message"] == len(await bridge.messages("s")) == 21
    assert counts["context"] == 2 and counts["interrupt"] == 1 and counts["error"] == 1 and counts["audio"] == 1
    assert counts["condensation"] == len(await bridge.condensations("s")) == 2
    assert counts["model"] == 10 and counts["transition"] == len((await bridge.sessions.get("s")).transitions)
    assert counts["checkpoint"] == len([c async for c in bridge.saver.alist({"configurable": {"thread_id": "s"}})])
    said = [entry.id for entry in entries if entry.kind == "message"]
    assert said == [message.id for message in await bridge.messages("s")], "also those that were condensed"
    condensed = [entry for entry in entries if entry.data.get("condensed")]
    assert len(condensed) == sum(len(c.removed) for c in await bridge.condensations("s"))
    assert max(entry.turn for entry in entries) == 7
    begins = [next(e for e in entries if e.turn == turn and e.kind in ("run", "message")) for turn in range(1, 8)]
    assert sum(entry.title == "Run started" for entry in begins) >= 6, "two in one millisecond cannot be told apart"


async def test_what_belongs_together_is_in_the_order_of_its_causes(bridge: SessionBridge) -> None:
    entries = [entry for entry in await bridge.sessions.timeline("s") if entry.turn == 2]
    order = [
        f"{entry.kind} {entry.title}" for entry in entries if entry.kind in ("message", "tool", "interrupt", "resume")
    ]
    assert order == [
        "message user",
        "message assistant",
        "tool refund",
        "interrupt Waits for an answer",
        "resume Goes on",
        "tool refund",
        "message tool refund",
        "message assistant",
    ]
    first, second = (entry for entry in entries if entry.kind == "tool")
    assert (first.status, second.status) == ("interrupted", "success")
    assert second.duration_s is not None and second.duration_s >= 0.02 and "approved" in second.text


async def test_timelines_are_read_by_kind_in_sync_code_and_anew_each_time(bridge: SessionBridge) -> None:
    import asyncio

    timeline = bridge.sessions.timeline("s", kinds=["tool", "error"])
    entries = await asyncio.to_thread(list, timeline)
    assert {entry.kind for entry in entries} == {"tool", "error"} and entries == await timeline
    whole = await bridge.sessions.timeline("s")
    assert entries == [entry for entry in whole if entry.kind in ("tool", "error")], "they keep their positions"
    with pytest.raises(InvalidInputError, match="There is no kind poem"):
        bridge.sessions.timeline("s", kinds="poem")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", REDACTED_BY_DEFAULT)
async def test_secrets_are_redacted_unless_told_otherwise(bridge: SessionBridge, name: FormatName) -> None:
    clean = await bridge.sessions.export("s", name)
    assert API_KEY not in clean and PASSWORD not in clean
    whole = await bridge.sessions.export("s", name, redact=False)
    assert API_KEY in whole
    further = await bridge.sessions.export("s", name, redact=lambda text: text.replace("courier", "somebody"))
    assert API_KEY not in further and "courier did not" not in further and "somebody did not" in further


async def test_a_redactor_of_the_bridge_is_heeded(open_bridge: OpenBridge) -> None:
    async with open_bridge(
        redactors=[lambda text: text.replace("in a hurry", "****").replace("my parcel", "****")]
    ) as bridge:
        await tell_story(bridge, turns=0)
        for name in REDACTED_BY_DEFAULT:
            exported = await bridge.sessions.export("s", name)
            assert "in a hurry" not in exported and "my parcel" not in exported, name
        with pytest.raises(InvalidTypeError, match="redact is True, False or a function"):
            await bridge.sessions.timeline("s", redact="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FORMATS)
async def test_a_redactor_that_fails_gives_nothing_away_and_breaks_nothing(
    bridge: SessionBridge, name: FormatName
) -> None:
    def broken(text: str) -> str:
        raise RuntimeError(text)

    await bridge.sessions.pause("s", reason="the parcel is lost")
    text = await bridge.sessions.export("s", name, redact=broken)
    assert len(text) > 1000
    for said in ("my parcel", "late parcel", "is lost", "did not answer", "Thank you", API_KEY, PASSWORD, '"parcel"'):
        assert said not in text, said


@pytest.mark.parametrize("name", FORMATS)
async def test_a_session_that_waits_is_exported_with_what_it_waits_for(
    open_bridge: OpenBridge, name: FormatName
) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("s")
        graph = storied_graph(bridge)
        for text in ("Where is it?", "Refund it."):
            await graph.ainvoke({"messages": [HumanMessage(text)]}, bridge.config("s"))
        exported = await bridge.sessions.export("s", name)
        asked = "refund" if name in ("openai", "sharegpt") else "Refund 7.90 €"
        if name == "jsonl":  # which is ASCII
            asked = json.dumps(asked)[1:-1]
        assert asked in exported


async def test_openai_messages_come_back_as_the_messages_that_they_were(bridge: SessionBridge) -> None:
    exported = json.loads(await bridge.sessions.export("s", "openai", redact=False))["messages"]
    whole = await bridge.messages("s")
    back = convert_to_messages(exported)
    assert [type(message) for message in back] == [type(message) for message in whole]
    for one, other in zip(back, whole, strict=True):
        assert one.content == other.content
        assert getattr(one, "tool_call_id", None) == getattr(other, "tool_call_id", None)
        assert getattr(one, "tool_calls", []) == getattr(other, "tool_calls", [])
    called = [call["function"] for message in exported for call in message.get("tool_calls", ())]
    assert called[0]["name"] == "find_order" and json.loads(called[0]["arguments"]) == {"order_id": "4711"}


def test_openai_takes_content_that_has_no_form_there_as_text() -> None:
    odd = AIMessage([{"type": "hologram", "size": 3}, {"type": "text", "text": "see above"}])
    assert openai_message(odd)["content"] == [
        {"type": "text", "text": "[hologram]"},
        {"type": "text", "text": "see above"},
    ]
    image = HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])
    assert openai_message(image)["content"][0]["type"] == "image_url" and text_of(image) == "[image]"


async def test_sharegpt_has_calls_and_observations_in_turns(bridge: SessionBridge) -> None:
    talk = json.loads(await bridge.sessions.export("s", "sharegpt", redact=False))["conversations"]
    assert [turn["from"] for turn in talk[:8]] == [
        "human", "gpt", "function_call", "observation", "observation", "gpt", "function_call", "observation",
    ]  # fmt: skip
    assert [call["name"] for call in json.loads(talk[2]["value"])] == ["find_order", "search_knowledge"]
    assert json.loads(talk[6]["value"]) == {"name": "courier_status", "arguments": {"parcel": "P-99"}}
    assert {turn["from"] for turn in talk} == {"human", "gpt", "function_call", "observation"}
    assert list(turns(SystemMessage("be brief"))) == [{"from": "system", "value": "be brief"}]


async def test_markdown_shows_the_transcript_and_renders_nothing_that_was_said(bridge: SessionBridge) -> None:
    text = await bridge.sessions.export("s", "markdown")
    assert text.startswith("# Where is my parcel? \\<b\\>4711\\</b\\>\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [f"## Turn {n}" for n in range(1, 8)]
    assert ARABIC in text and EMOJI in text and "condensed since" in text and "Refund 7.90 €" in text
    tokens = MarkdownIt("commonmark").parse(text)
    kinds = Counter(child.type for token in tokens for child in token.children or [token])
    assert kinds["html_block"] == kinds["html_inline"] == kinds["image"] == 0
    code = "".join(token.content for token in tokens if token.type == "fence")
    assert HOSTILE.replace("<redacted>", "") in code, "as it was, where nothing is rendered"


async def test_csv_has_a_row_for_each_entry_and_no_formula(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("s")
        for result in ("=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "  =1", "\t=1", "＝1", 'a "quoted", text\nof two lines'):
            await bridge.records.record_tool_execution("s", "=cmd|' /C calc'!A0", result=result)
        text = await bridge.sessions.export("s", "csv", kinds="tool")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 8 and {row["kind"] for row in rows} == {"tool"}
    assert all(row["title"].startswith("'=cmd") for row in rows)
    results = [row["text"] for row in rows]
    assert all(text.startswith("'") for text in results[:7]) and results[7] == 'a "quoted", text\nof two lines'
    assert all(float(row["duration_s"]) >= 0 and json.loads(row["data"]) for row in rows)


async def test_the_page_is_one_file_in_which_data_stays_data(bridge: SessionBridge, tmp_path: Path) -> None:
    path = tmp_path / "session.html"
    await bridge.sessions.export("s", "html", to=path)
    page = path.read_text(encoding="utf-8")
    assert page.count("<script") == 2 and page.count("</script") == 2 and page.count("<style") == 1
    assert "default-src 'none'" in page and "http://www.w3.org/2000/svg" in page
    assert page.replace("http://www.w3.org/2000/svg", "").count("http") == page.count('http-equiv="')
    raw = page.split('<script type="application/json" id="data">', 1)[1].split("</script>", 1)[0]
    assert not set("<>&") & set(raw)
    data = json.loads(raw)
    assert any(HOSTILE in entry["x"] for entry in data["entries"]) and data["session"]["redacted"] is True
    assert len(data["entries"]) == len(await bridge.sessions.timeline("s"))


def test_nothing_ends_the_script_that_data_is_in() -> None:
    nasty = "</script> <!-- <script> ]]> & \u2028 \u2029 \ud800"
    text = in_script({nasty: nasty})
    assert not set("<>&\u2028\u2029") & set(text) and json.loads(text) == {nasty: nasty}


async def test_exports_are_written_to_files_at_once_or_not_at_all(bridge: SessionBridge, tmp_path: Path) -> None:
    target = tmp_path / "s.md"
    target.write_text("before")

    def fails(text: str) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await bridge.sessions.export("s", "markdown", to=target, redact=fails)
    assert target.read_text() == "before" and os.listdir(tmp_path) == ["s.md"]
    text = await bridge.sessions.export("s", "markdown")
    assert await bridge.sessions.export("s", "markdown", to=str(target)) == len(text) == len(target.read_text())
    file = io.StringIO()
    await bridge.sessions.export("s", "markdown", to=file)
    assert file.getvalue() == text
    assert "".join([piece async for piece in bridge.sessions.export_chunks("s", "markdown")]) == text
    with pytest.raises(InvalidInputError, match="There is no format 'pdf'"):
        bridge.sessions.export("s", "pdf")  # type: ignore[call-overload]


@pytest.mark.parametrize("name", FORMATS)
async def test_a_session_that_did_nothing_is_exported(open_bridge: OpenBridge, name: FormatName) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("empty")
        assert "empty" in await bridge.sessions.export("empty", name) or name in ("openai", "csv")
        if name == "openai":
            assert json.loads(await bridge.sessions.export("empty", name)) == {"messages": []}


async def test_a_thread_without_a_session_is_none(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        from langgraph_session_bridge import SessionNotFoundError

        with pytest.raises(SessionNotFoundError):
            await bridge.sessions.timeline("nobody")


def test_entries_of_a_later_version_keep_what_is_not_known_yet() -> None:
    entry = Entry.model_validate(
        {"at": "2026-01-02T00:00:00Z", "kind": "tool", "id": "1", "title": "x", "mood": "good"}
    )
    assert entry.model_dump()["mood"] == "good" and set(KINDS) >= {entry.kind}
