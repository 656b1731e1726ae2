"""`events`: what else happened in a session, from the start of a run to the words of the application."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import looking_at_deployment
from langgraph_session_bridge.cli.listing import (
    Limit,
    Session,
    Since,
    brief,
    cell,
    failure,
    first,
    moment,
    show,
    told,
    when,
)
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command
from langgraph_session_bridge.records.models import EventRecord

_COLUMNS = ("when", "event", "node", "what")


@command
@looking_at_deployment
def events(
    saver: SessionBridgeSaver,
    session: Session,
    *,
    name: Annotated[list[str] | None, typer.Option(help="Only this event; may be repeated.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="Only this graph node; may be repeated.")] = None,
    since: Since = None,
    limit: Limit = 50,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """List runs, pauses, failures, model calls and custom events of a session, newest first."""
    query = SessionBridge(saver).records.events(
        session, name=name or None, node=node or None, since=moment(since), limit=limit + 1
    )
    found, more = first(query, limit)
    if json:
        told("events", session, found, ok=True, more=more)
    else:
        show(_COLUMNS, map(_row, found), previews=("what",), nothing="no events", more=more)
    return ExitCode.OK


def _row(record: EventRecord) -> list[Text]:
    what = cell(brief(record.data)) if record.error is None else cell(failure(record.error), "red")
    return [when(record.at), cell(record.name), cell(record.graph_node), what]
