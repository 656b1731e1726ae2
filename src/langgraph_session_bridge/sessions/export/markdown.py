"""A transcript to be read: Markdown in which nothing that was said is Markdown or HTML of its own."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime

from langgraph_session_bridge.sessions.export.entries import Entry
from langgraph_session_bridge.sessions.export.timeline import Source
from langgraph_session_bridge.sessions.models import Session

_SHOWN = frozenset({"message", "tool", "context", "condensation", "interrupt", "resume", "error", "audio", "event"})
_RUNS = re.compile(r"`+")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&])")


async def write(source: Source) -> AsyncGenerator[str, None]:
    """What was said and done, turn by turn."""
    yield "\n".join(_heading(await source.described()))
    turn = 0
    wanted = source.kinds or _SHOWN
    async for entry in source.entries():
        if entry.kind not in wanted:
            continue
        if entry.turn != turn:
            turn = entry.turn
            yield f"\n## Turn {turn}\n"
        yield "\n" + "\n".join(_lines(entry)) + "\n"


def _heading(session: Session) -> Iterator[str]:
    yield f"# {_escaped(session.title or f'Session {session.session_id}')}"
    yield ""
    counters = session.counters
    facts = {
        "session": session.session_id,
        "user": session.user_id,
        "status": session.status,
        "created": _time(session.created_at),
        "ended": _time(session.ended_at) if session.ended_at else None,
        "tags": ", ".join(session.tags),
        "turns": counters.turns,
        "tool calls": counters.tool_calls,
    }
    for name, value in facts.items():
        if value:
            yield f"- {name}: {_escaped(str(value))}"
    yield ""


def _lines(entry: Entry) -> Iterator[str]:
    yield f"**{_escaped(entry.title)}** · {entry.kind} · {_time(entry.at)}{_also(entry)}"
    arguments = entry.data.get("arguments") if entry.kind == "tool" else None
    if arguments:
        yield from ["", *_fenced(str(arguments))]
    if entry.text and entry.kind in ("message", "condensation"):
        yield from ["", *_quoted(entry.text)]
    elif entry.text:
        yield from ["", *_fenced(entry.text)]
    for call in entry.data.get("tool_calls", ()) if entry.kind == "message" else ():
        yield from ["", f"calls **{_escaped(str(call['name']))}**", ""]
        yield from _fenced(json.dumps(call["args"], ensure_ascii=False, indent=2, default=str), "json")


def _also(entry: Entry) -> str:
    told = [entry.status or ""]
    if entry.kind != "message" and entry.duration_s is not None:
        told.append(f"{entry.duration_s:.3g} s")
    if entry.data.get("condensed"):
        told.append("condensed since")
    return "".join(f" · {_escaped(each)}" for each in told if each)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _quoted(text: str) -> Iterator[str]:
    """What was said may use Markdown's own signs, but no HTML, and nothing of it leaves the quotation."""
    for line in text.splitlines() or [""]:
        yield "> " + line.replace("&", "&amp;").replace("<", "&lt;")


def _fenced(text: str, language: str = "text") -> list[str]:
    fence = "`" * max(3, 1 + max((len(run) for run in _RUNS.findall(text)), default=0))
    return [f"{fence}{language}", *text.splitlines(), fence]
