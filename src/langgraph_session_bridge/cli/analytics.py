"""`analytics`: rows about many sessions, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, cast, get_args

import typer
from rich.text import Text

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import looking_at_deployment
from langgraph_session_bridge.cli.listing import Since, among, cell, moment, seconds, show, when
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit
from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.sessions.reading.analytics import Analytics
from langgraph_session_bridge.sessions.reading.listing import Filters
from langgraph_session_bridge.sessions.reading.rows import By
from langgraph_session_bridge.sessions.states import STATUSES

ROWS = ("sessions", "resumes", "totals", "tools", "usage")
_GROUPED = ("totals", "tools", "usage")
_PREVIEWED = ("reason", "outcome", "resumed_by")
_SHOWN: Mapping[str, Sequence[str]] = {
    "sessions": ("session_id", "status", "outcome", "duration_s", "waiting_s", "turns", "tool_calls", "total_tokens"),
    "resumes": ("session_id", "kind", "stopped_at", "delay_s", "resumed_by", "reason"),
}
"""Columns of the table, where not all of them fit; JSON has them all."""


@command
@looking_at_deployment
def analytics(
    saver: SessionBridgeSaver,
    rows: Annotated[str, typer.Argument(help=f"One of {', '.join(ROWS)}.")],
    *,
    by: Annotated[str | None, typer.Option(help="Group totals, tools or usage by day, user or agent.")] = None,
    user: Annotated[str | None, typer.Option(help="Only sessions of this user.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help=f"Only this: {', '.join(STATUSES)}; may be repeated.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag; may be repeated, for all of them.")] = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many sessions or resumptions.")] = 1000,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Tell about many sessions at once: how long they took, when they were resumed, what tools and models did."""
    for option, value, known in (("rows", rows, ROWS), ("by", by, get_args(By))):
        if value is not None and value not in known:
            raise InvalidInputError(f"{option} cannot be {value!r}; there are {', '.join(known)}.")
    if by is not None and rows not in _GROUPED:
        raise InvalidInputError(f"--by groups {', '.join(_GROUPED)}; {rows} are one row each.")
    filters = Filters(user_id=user, tags=tag or (), since=moment(since))
    if wanted := among("status", status, STATUSES):
        filters["status"] = [each for each in STATUSES if each in wanted]
    found = _asked(SessionBridge(saver).sessions.analytics(**filters), rows, cast("By | None", by), limit)
    if json:
        emit({"ok": True, rows: [{name: _plain(value) for name, value in row.items()} for row in found]})
        return ExitCode.OK
    columns = _SHOWN.get(rows) or (list(found[0]) if found else ())
    cells = [[_cell(name, row.get(name)) for name in columns] for row in found]
    show(columns, cells, previews=_PREVIEWED, nothing=f"no {rows}", more=False)
    return ExitCode.OK


def _asked(found: Analytics, rows: str, by: By | None, limit: int) -> list[dict[str, Any]]:
    if rows == "sessions" or rows == "resumes":
        query = found.sessions(limit=limit) if rows == "sessions" else found.resumes(limit=limit)
        return [dict(row) for row in query]
    if rows == "usage":
        return [dict(row) for row in found.usage(by).result()]
    return [dict(row) for row in (found.totals(by) if rows == "totals" else found.tools(by)).result()]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _cell(name: str, value: Any) -> Text:
    if isinstance(value, datetime):
        return when(value)
    if name.endswith("_s"):
        return seconds(value)
    return cell(f"{value:.1%}" if name == "error_rate" and value is not None else value)
