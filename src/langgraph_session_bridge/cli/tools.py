"""`tools`: which tools a session called, how they ended, and which calls were cut off."""

from __future__ import annotations

from typing import Annotated, get_args

import typer
from rich.text import Text

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import looking_at_deployment
from langgraph_session_bridge.cli.listing import (
    Limit,
    Session,
    Since,
    among,
    cell,
    failure,
    first,
    moment,
    preview,
    seconds,
    show,
    told,
    when,
)
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command
from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.models import ToolExecutionRecord, ToolStatus

_COLUMNS = ("started", "tool", "status", "#", "took", "arguments", "result")
_STATUSES = get_args(ToolStatus)
_STYLES = {
    "success": "green",
    "error": "red",
    "unknown": "bold red",
    "interrupted": "yellow",
    "started": "cyan",
    "superseded": "dim",
    "abandoned": "dim",
}


@command
@looking_at_deployment
def tools(
    saver: SessionBridgeSaver,
    session: Session,
    *,
    name: Annotated[list[str] | None, typer.Option(help="Only this tool; may be repeated.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help=f"Only this: {', '.join(_STATUSES)}; may be repeated.")
    ] = None,
    since: Since = None,
    limit: Limit = 50,
    unknown: Annotated[
        bool,
        typer.Option(
            "--unknown",
            help="Mark calls that were cut off as `unknown`, and list these. Not while the session runs elsewhere.",
        ),
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """List the tool calls of a session, newest first; with --unknown, exit code 1 if calls were cut off."""
    if unknown and status:
        raise InvalidInputError("Give --unknown or --status, not both.")
    wanted = ["unknown"] if unknown else among("status", status, _STATUSES)
    began, records = moment(since), SessionBridge(saver).records
    if unknown:
        records.unknown_tool_calls(session).all()
    found, more = first(
        records.tool_executions(session, name=name or None, status=wanted, since=began, limit=limit + 1), limit
    )
    problem = unknown and bool(found)
    if json:
        told("tool_executions", session, found, ok=not problem, more=more)
    else:
        nothing = "no calls were cut off" if unknown else "no tool calls"
        show(_COLUMNS, map(_row, found), previews=("arguments", "result"), nothing=nothing, more=more)
    return ExitCode.PROBLEM if problem else ExitCode.OK


def _row(record: ToolExecutionRecord) -> list[Text]:
    return [
        when(record.started_at),
        cell(record.tool_name),
        cell(record.status, _STYLES.get(record.status, "")),
        cell(record.attempt),
        seconds(record.duration_s),
        cell(preview(record.arguments)),
        _outcome(record),
    ]


def _outcome(record: ToolExecutionRecord) -> Text:
    if record.status == "unknown":
        return cell("cut off, may have happened")
    if record.error is not None:
        return cell(failure(record.error), "red")
    return cell(preview(record.result))
