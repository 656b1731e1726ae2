"""CSV: the entries of the timeline, one a row, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncGenerator
from typing import Any

from langgraph_session_bridge.sessions.export.entries import Entry
from langgraph_session_bridge.sessions.export.timeline import Source

COLUMNS = (
    "n",
    "at",
    "ended_at",
    "duration_s",
    "turn",
    "kind",
    "status",
    "title",
    "text",
    "id",
    "graph_node",
    "run_id",
    "tool_call_id",
    "data",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the wide forms of the first."""


async def write(source: Source) -> AsyncGenerator[str, None]:
    """A heading, then a row for each entry."""
    yield _row(COLUMNS)
    async for entry in source.entries():
        yield _row(_cells(entry))


def _cells(entry: Entry) -> list[Any]:
    data = dict(entry.data)
    named = [data.pop(name, None) for name in ("graph_node", "run_id", "tool_call_id")]
    ended = entry.ended_at.isoformat() if entry.ended_at else None
    texts = (entry.kind, entry.status, entry.title, entry.text, entry.id, *named)
    rest = json.dumps(data, ensure_ascii=False, sort_keys=True, default=str)
    return [entry.n, entry.at.isoformat(), ended, entry.duration_s, entry.turn, *map(_safe, texts), rest]


def _safe(value: object) -> object:
    """A text that a spreadsheet would calculate gets an apostrophe in front, which it takes for text."""
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.lstrip(" ").startswith(_FORMULA) else value


def _row(cells: Any) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
