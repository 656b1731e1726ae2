"""`context`: what the models of a session were told besides the conversation, or are to be told."""

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
    show,
    told,
    when,
)
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command
from langgraph_session_bridge.records.models import (
    ContextDocument,
    ContextInjectionRecord,
    ContextKind,
    ContextStatus,
)

_COLUMNS = ("when", "kind", "status", "source", "query", "what")
_KINDS, _STATUSES = get_args(ContextKind), get_args(ContextStatus)
_STYLES = {"injected": "green", "failed": "red", "queued": "cyan"}


@command
@looking_at_deployment
def context(
    saver: SessionBridgeSaver,
    session: Session,
    *,
    kind: Annotated[list[str] | None, typer.Option(help=f"Only this: {', '.join(_KINDS)}; may be repeated.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help=f"Only this: {', '.join(_STATUSES)}; may be repeated.")
    ] = None,
    since: Since = None,
    limit: Limit = 50,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """List what the models of a session were told, or are to be told, newest first."""
    query = SessionBridge(saver).records.context_injections(
        session,
        kind=among("kind", kind, _KINDS),
        status=among("status", status, _STATUSES),
        since=moment(since),
        limit=limit + 1,
    )
    found, more = first(query, limit)
    if json:
        told("context_injections", session, found, ok=True, more=more)
    else:
        show(_COLUMNS, map(_row, found), previews=("query", "what"), nothing="no context injections", more=more)
    return ExitCode.OK


def _row(record: ContextInjectionRecord) -> list[Text]:
    return [
        when(record.injected_at or record.ended_at or record.queued_at),
        cell(record.kind),
        cell(record.status, _STYLES.get(record.status, "dim")),
        cell(record.source),
        cell(preview(record.query)),
        _what(record),
    ]


def _what(record: ContextInjectionRecord) -> Text:
    if record.error is not None:
        return cell(failure(record.error), "red")
    found = (
        [] if record.label is None else [record.label if record.score is None else f"{record.label} {record.score:g}"]
    )
    found += [preview(record.content) or ""] if record.content is not None else map(_document, record.documents)
    return cell("; ".join(text for text in found if text) or record.reason)


def _document(document: ContextDocument) -> str:
    score = "" if document.score is None else f" ({document.score:g})"
    return (
        f"{document.title or document.source or document.id or document.content or f'{document.chars:,} chars'}{score}"
    )
