"""`ls` and `show`: which sessions there are, and what is known of one."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import looking_at_deployment
from langgraph_session_bridge.cli.listing import Session as SessionArgument
from langgraph_session_bridge.cli.listing import Since, among, brief, cell, moment, seconds, show, when
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, out, say
from langgraph_session_bridge.sessions.lifecycle.ending import report_of
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.sessions.reading.listing import MAX_PAGE, Filters
from langgraph_session_bridge.sessions.states import STATUSES

_COLUMNS = ("last active", "session", "status", "user", "title", "tags", "turns", "tools", "errors")
_STYLES = {"active": "green", "interrupted": "yellow", "paused": "yellow", "error": "red", "created": "cyan"}
_DESCRIBING = ("user_id", "title", "app_name", "agent_name", "channel")
_MOMENTS = ("created_at", "started_at", "last_activity_at", "ended_at", "expires_at")
_HISTORY = ("when", "event", "from", "to", "actor", "reason")


@command
@looking_at_deployment
def ls(
    saver: SessionBridgeSaver,
    *,
    user: Annotated[str | None, typer.Option(help="Only sessions of this user.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help=f"Only this: {', '.join(STATUSES)}; may be repeated.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag; may be repeated, for all of them.")] = None,
    title: Annotated[str | None, typer.Option(help="Only with this in the title, whatever the case.")] = None,
    since: Since = None,
    after: Annotated[str | None, typer.Option(help="Go on after this cursor, which --json tells.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_PAGE, help="Show at most so many.")] = 50,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """List the sessions of the deployment, those first that were active last."""
    filters = Filters(user_id=user, tags=tag or (), title=title, since=moment(since))
    if wanted := among("status", status, STATUSES):
        filters["status"] = [each for each in STATUSES if each in wanted]
    page = SessionBridge(saver).sessions.list(after=after, limit=limit, **filters).result()
    if json:
        plain = [_plain(session) for session in page.sessions]
        emit({"ok": True, "sessions": plain, "cursor": page.cursor, "more": page.cursor is not None})
    else:
        more = page.cursor is not None
        show(_COLUMNS, map(_row, page.sessions), previews=("title", "tags"), nothing="no sessions", more=more)
    return ExitCode.OK


def _row(session: Session) -> list[Text]:
    counters = session.counters
    return [
        when(session.last_activity_at),
        cell(session.session_id),
        cell(session.status, _STYLES.get(session.status, "dim")),
        cell(session.user_id),
        cell(session.title),
        cell(", ".join(session.tags)),
        cell(counters.turns),
        cell(counters.tool_calls),
        cell(counters.errors + counters.tool_errors),
    ]


@command
@looking_at_deployment
def show_session(
    saver: SessionBridgeSaver, session: SessionArgument, *, json: Json = False, debug: Debug = False
) -> ExitCode:
    """Show one session: whose it is, what state it is in and how it got there, what it did and used."""
    found = SessionBridge(saver).sessions.get(session).result()
    if json:
        emit({"ok": True, "session": _plain(found)})
        return ExitCode.OK
    table = Table.grid(padding=(0, 2))
    for name, value in _facts(found):
        table.add_row(cell(name, "dim"), value)
    out().print(table)
    say("")
    rows = [
        [when(m.ts), cell(m.event), cell(m.from_), cell(m.to), cell(m.actor), cell(m.reason)] for m in found.transitions
    ]
    show(_HISTORY, rows, previews=("actor", "reason"), nothing="no history", more=False)
    return ExitCode.OK


def _facts(session: Session) -> list[tuple[str, Text]]:
    """What is known, by name; what is not known is left out."""
    told: dict[str, object] = {name: getattr(session, name) for name in _DESCRIBING}
    told["thread"] = session.thread_id if session.thread_id != session.session_id else None
    told["tags"] = ", ".join(session.tags)
    told["metadata"] = brief(session.metadata)
    moments = {name.removesuffix("_at"): getattr(session, name) for name in _MOMENTS}
    return [
        ("session", cell(session.session_id)),
        ("status", cell(session.status, _STYLES.get(session.status, "dim"))),
        *[(name, cell(value)) for name, value in told.items() if value],
        *[(name, when(value)) for name, value in moments.items() if value],
        ("lasted", seconds(report_of(session).duration_s)),
        *_doings(session),
    ]


def _doings(session: Session) -> Iterator[tuple[str, Text]]:
    """What it did and used, waits for, failed with, and what was said of it at the end."""
    if counted := {name: count for name, count in session.counters.model_dump().items() if count}:
        yield "counts", cell(brief(counted))
    for purpose, usage in (("model", session.usage), ("summaries by", session.condenser_usage)):
        for used in usage:
            told = brief({name: value for name, value in used if value and name not in ("provider", "model")})
            yield f"{purpose} {used.model or '?'}", cell(told)
    for waiting in session.pending_interrupts:
        yield "waits for", cell((waiting.value or {}).get("text") or waiting.id)
    if session.last_error is not None and session.status == "error":
        yield "error", cell(f"{session.last_error.type}: {session.last_error.message}", "red")
    if session.evaluation:
        yield "evaluation", cell(brief(session.evaluation))


def _plain(session: Session) -> object:
    found = json_module.loads(session.model_dump_json(by_alias=True, exclude_none=True, exclude={"key"}))
    expires = session.expires_at
    return {**found, **({} if expires is None else {"expires_at": expires.isoformat()})}
