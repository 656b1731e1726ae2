"""What the commands that list records share: their options, and tables of values that nobody vouches for."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel
from rich.table import Table
from rich.text import Text

from langgraph_session_bridge.cli.output import emit, out, say
from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.capture.capture import Captured
from langgraph_session_bridge.records.models import ToolError
from langgraph_session_bridge.records.query import Query

R = TypeVar("R", bound=BaseModel)

Session = Annotated[str, typer.Argument(help="The session: its thread id.")]
Since = Annotated[
    str | None,
    typer.Option(help="Only what began then or later: `2h`, `30m`, `7d`, or an ISO date (local time without a zone)."),
]
Limit = Annotated[int, typer.Option(min=1, help="Show at most so many, the newest ones.")]

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PREVIEW_CHARS = 500
"""More of a value than any terminal shows in one line."""


def moment(text: str | None) -> datetime | None:
    """The time that `--since` means.

    Raises:
        InvalidInputError: It is neither a duration nor a date.
    """
    if text is None:
        return None
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError) as error:
        message = f"--since {text!r} is no time; give for example 2h, 7d, 2026-01-31 or 2026-01-31T08:00:00+00:00."
        raise InvalidInputError(message) from error


def among(option: str, given: list[str] | None, known: Sequence[str]) -> list[str] | None:
    """The values of an option that may be repeated; `None` if it was not given.

    Raises:
        InvalidInputError: One of them means nothing.
    """
    for value in given or ():
        if value not in known:
            raise InvalidInputError(f"--{option} cannot be {value!r}; there are {', '.join(known)}.")
    return given or None


def first(query: Query[R], limit: int) -> tuple[list[R], bool]:
    """The newest records of a query that was asked for one more, and whether there are more."""
    found = query.all()
    return found[:limit], len(found) > limit


def told(name: str, session: str, records: Sequence[BaseModel], *, ok: bool, more: bool) -> None:
    """Records as one JSON object."""
    plain = [json.loads(record.model_dump_json(exclude_none=True)) for record in records]
    emit({"ok": ok, "session": session, name: plain, "more": more})


def show(
    columns: Sequence[str],
    rows: Iterable[Sequence[Text]],
    *,
    previews: Collection[str],
    nothing: str,
    more: bool,
    whole: Mapping[str, int] | None = None,
) -> None:
    """One line for each record, no wider than the terminal.

    Args:
        columns: Headings.
        rows: A cell for each column.
        previews: The columns that give way when there is not enough room.
        nothing: What to say if there is no row.
        more: Whether there are more records than are shown.
        whole: Columns that keep so many characters, since other commands want them.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        preview, least = name in previews, (whole or {}).get(name)
        most = None if preview or least else 28
        table.add_column(name, no_wrap=not preview, overflow="ellipsis", min_width=least, max_width=most)
    for row in rows:
        table.add_row(*row)
    if not table.row_count:
        say(nothing)
        return
    out().print(table)
    if more:
        say(f"the newest {table.row_count:,}; there are more (--limit)")


# Cells. They are texts, never markup: what is stored may contain any.


def cell(value: object, style: str = "") -> Text:
    """A value in one line, without anything that a terminal would obey; nothing for `None`."""
    text = "" if value is None else str(value)[:_PREVIEW_CHARS]
    return Text("".join(c if c.isprintable() else _visible(c) for c in text), style=style, no_wrap=True)


def _visible(character: str) -> str:
    if character.isspace():
        return " "
    return character.encode("unicode_escape").decode("ascii")


def when(at: datetime | None) -> Text:
    """A time, in that of the reader."""
    return cell(None if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S"), "dim")


def seconds(value: float | None) -> Text:
    """A duration."""
    if value is None:
        return cell(None)
    return cell(f"{value * 1000:.0f} ms" if value < 1 else f"{value:,.1f} s")


def preview(captured: Captured | None) -> str | None:
    """What was kept of a value; its size, where that is not all."""
    if captured is None:
        return None
    size = f"{captured.bytes:,} bytes"
    if captured.text is None:
        return size
    return f"({size}) {captured.text}" if captured.truncated else captured.text


def failure(error: ToolError) -> str:
    """An error as one text."""
    return f"{error.type}: {error.message}" if error.message else error.type


def brief(data: Mapping[str, Any]) -> str:
    """Plain values by name, in one line."""
    return " ".join(f"{name}={_plain(value)}" for name, value in data.items())


def _plain(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
