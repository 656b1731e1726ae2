"""A plan as text, as a `rich` table and as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from langchain_core.messages import BaseMessage

HEADS = ("", "role", "id", "tokens", "why", "text")
SIGNS = {"keep": " ", "remove": "-", "shorten": "~", "insert": "+"}
STYLES = {"keep": "", "remove": "red", "shorten": "yellow", "insert": "green"}
_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One message of a plan."""

    fate: str
    role: str
    id: str
    tokens: int
    why: str
    text: str

    @classmethod
    def of(cls, message: BaseMessage, fate: str, tokens: int, why: str) -> Row:
        """The row of a message."""
        text = " ".join(message.text.split())
        return cls(fate, message.type, str(message.id or ""), tokens, why, _clipped(text))


def _clipped(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _cells(row: Row) -> list[str]:
    fate, *cells = astuple(row)
    return [SIGNS[fate], *map(str, cells)]


def as_text(headline: str, rows: Sequence[Row]) -> str:
    """Plain text."""
    lines = [f"{SIGNS[r.fate]} {r.role:8} {r.tokens:6} {r.why:24} {r.text}".rstrip() for r in rows]
    return "\n".join([headline, *lines])


def as_rich(headline: str, rows: Sequence[Row]) -> Any:
    """A `rich` table; plain text where `rich` is not installed."""
    try:
        from rich.markup import escape
        from rich.table import Table
    except ImportError:
        return as_text(headline, rows)
    table = Table(*HEADS, title=escape(headline), box=None)
    for row in rows:
        table.add_row(*map(escape, _cells(row)), style=STYLES[row.fate])
    return table


def as_html(headline: str, rows: Sequence[Row]) -> str:
    """A table for notebooks."""
    colors = {"remove": "#c0392b", "shorten": "#b7950b", "insert": "#1e8449"}
    heads = "".join(f"<th>{head}</th>" for head in HEADS)
    lines = "".join(
        f'<tr style="color:{colors.get(row.fate, "inherit")}">'
        + "".join(f'<td style="text-align:left">{html.escape(cell)}</td>' for cell in _cells(row))
        + "</tr>"
        for row in rows
    )
    table = f"<table><tr>{heads}</tr>{lines}</table>" if rows else ""
    return f"<p>{html.escape(headline)}</p>{table}"
