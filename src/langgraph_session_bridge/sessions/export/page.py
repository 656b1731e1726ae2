"""HTML: the timeline as one page that plays it, in one file that asks for nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from langgraph_session_bridge.sessions.export.entries import Entry
from langgraph_session_bridge.sessions.export.timeline import Source
from langgraph_session_bridge.sessions.models import Session

_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


async def write(source: Source) -> AsyncGenerator[str, None]:
    """A session as a page."""
    async for piece in render(await source.described(), source.entries(), redacted=source.redaction is not None):
        yield piece


async def render(session: Session, entries: AsyncIterator[Entry], *, redacted: bool) -> AsyncGenerator[str, None]:
    """The page up to its data, the entries one by one, and the rest."""
    title = session.title or f"Session {session.session_id}"
    before, after = _template()
    yield before.replace("{{title}}", html.escape(title))
    yield f'{{"session":{in_script(_facts(session, title, redacted=redacted))},"entries":['
    first = True
    async for entry in entries:
        yield ("" if first else ",\n") + in_script(_entry(entry))
        first = False
    yield "]}" + after


@cache
def _template() -> tuple[str, str]:
    """The page before and after its data. What runs and what styles is named by its hash; nothing else may."""
    folder = files("langgraph_session_bridge.sessions.export")
    page, style, script = (
        folder.joinpath(f"timeline.{suffix}").read_text(encoding="utf-8") for suffix in ("html", "css", "js")
    )
    allowed = f"style-src {_hashed(style)}; script-src {_hashed(script)}"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    page = page.replace("{{policy}}", policy).replace("{{style}}", style).replace("{{script}}", script)
    before, _, after = page.partition("{{data}}")
    return before, after


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def in_script(value: Any) -> str:
    """JSON that nothing in it can end: not the script that it is in, nor a line of it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _entry(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {"n": entry.n, "t": _millis(entry.at), "k": entry.kind, "h": entry.title}
    found |= {"x": entry.text, "s": entry.status, "u": entry.turn}
    if entry.ended_at is not None:
        found["e"] = _millis(entry.ended_at)
    data = {name: value for name, value in entry.data.items() if value not in (None, "")}
    if entry.kind == "message":
        found["r"] = data.pop("role", "")
        found["c"] = data.pop("tool_calls", [])
    if entry.kind == "tool":
        found["a"] = data.pop("arguments", "")
    return {**found, "d": {"id": entry.id, **data}}


def _facts(session: Session, title: str, *, redacted: bool) -> dict[str, Any]:
    tokens = sum(used.total_tokens for used in session.usage)
    counters = session.counters
    facts = {
        "user": session.user_id,
        "began": _millis(session.created_at),
        "turns": counters.turns or None,
        "tool calls": counters.tool_calls or None,
        "tokens": tokens or None,
        "tags": ", ".join(session.tags) or None,
    }
    return {
        "id": session.session_id,
        "title": title,
        "status": session.status,
        "facts": {name: value for name, value in facts.items() if value is not None},
        "redacted": redacted,
        "origin": f"langgraph-session-bridge {version('langgraph-session-bridge')}",
        "exported": _millis(datetime.now(UTC)),
    }
