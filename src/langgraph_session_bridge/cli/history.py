"""`history`, `diff`, `branch` and `rollback`: what a session went through, and going another way from there."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.text import Text

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import looking_at_deployment, on_deployment
from langgraph_session_bridge.cli.listing import Limit, Session, cell, first, show, told, when
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, say
from langgraph_session_bridge.sessions.reading.comparing import ChannelChange, ItemChange, StateDiff
from langgraph_session_bridge.sessions.reading.history import HistoryEntry

_ID_CHARS = 36
_COLUMNS = ("when", "checkpoint", "step", "source", "nodes", "changed", "bytes", "line")

Checkpoint = Annotated[str | None, typer.Option("--checkpoint", help="This checkpoint, as `history` lists it.")]
Message = Annotated[str | None, typer.Option("--message", help="When the message with this id arrived.")]
Turn = Annotated[int | None, typer.Option("--turn", min=1, help="The end of this turn, counted from 1.")]
Actor = Annotated[str, typer.Option(help="Who does it, for the session's history.")]


@command
@looking_at_deployment
def history(
    saver: SessionBridgeSaver,
    session: Session,
    *,
    sub_graphs: Annotated[bool, typer.Option("--sub-graphs", help="Those of sub-graphs too.")] = False,
    limit: Limit = 50,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """List the checkpoints of a session, newest first: what ran and changed, and which are on forks that were left."""
    ns = None if sub_graphs else ""
    found, more = first(SessionBridge(saver).sessions.history(session, limit=limit + 1, checkpoint_ns=ns), limit)
    if json:
        told("checkpoints", session, found, ok=True, more=more)
    else:
        previews, ids = ("nodes", "changed"), {"checkpoint": _ID_CHARS}
        show(_COLUMNS, map(_row, found), previews=previews, nothing="no checkpoints", more=more, whole=ids)
    return ExitCode.OK


def _row(entry: HistoryEntry) -> list[Text]:
    where = f"{entry.checkpoint_ns}  {entry.checkpoint_id}" if entry.checkpoint_ns else entry.checkpoint_id
    return [
        when(entry.at),
        cell(where),
        cell(entry.step),
        cell("rollback" if entry.rolled_back_to else entry.source),
        cell(", ".join(entry.nodes)),
        cell(", ".join(entry.changed)),
        cell(f"{entry.bytes:,}"),
        cell("fork" if entry.is_fork else "", "yellow") if entry.is_current else cell("left", "dim"),
    ]


@command
@looking_at_deployment
def diff(
    saver: SessionBridgeSaver,
    session: Session,
    before: Annotated[str, typer.Argument(help="A checkpoint of it.")],
    after: Annotated[str | None, typer.Argument(help="Another one; the newest by default.")] = None,
    *,
    chars: Annotated[int, typer.Option(min=1, help="Show at most so many characters of a value.")] = 200,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Show what changed between two checkpoints of a session, without secrets."""
    found = SessionBridge(saver).sessions.diff(session, before, after, shown_chars=chars).result()
    if json:
        emit({"ok": True, "session": session, "diff": _plain(found)})
        return ExitCode.OK
    for line in _lines(found):
        say(line.plain)
    return ExitCode.OK


def _lines(found: StateDiff) -> Iterator[Text]:
    if not found.channels:
        yield cell("nothing changed")
    for change in found.channels:
        yield cell(f"{change.channel}: {change.kind}{', in another order' if change.reordered else ''}")
        items = [(mark, item) for mark, items in _items(change) for item in items]
        for mark, item in items:
            yield cell(f"  {mark} {item.type} {item.id}: {_from_to(item.before, item.after)}")
        if not items:
            yield cell(f"  {_from_to(change.before, change.after)}")
    if found.unread:
        yield cell(f"not comparable without the graph: {', '.join(found.unread)}")


def _items(change: ChannelChange) -> Iterator[tuple[str, list[ItemChange]]]:
    yield "-", change.removed
    yield "+", change.added
    yield "~", change.changed


def _from_to(before: str | None, after: str | None) -> str:
    return " → ".join(each for each in (before, after) if each is not None)


@command
@on_deployment
def branch(
    saver: SessionBridgeSaver,
    session: Session,
    *,
    checkpoint: Checkpoint = None,
    message: Message = None,
    turn: Turn = None,
    new: Annotated[str | None, typer.Option("--as", help="Id of the new session; one is made by default.")] = None,
    actor: Actor = "operator",
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Make a session that has the line of another one up to a point, the newest state by default."""
    sessions = SessionBridge(saver).sessions
    made = sessions.branch(
        session, checkpoint_id=checkpoint, message_id=message, turn=turn, session_id=new, actor=actor
    ).result()
    if json:
        emit({"ok": True, "session": made.session_id, "parent": _plain(made.parent) if made.parent else None})
    else:
        say(made.session_id)
    return ExitCode.OK


@command
@on_deployment
def rollback(
    saver: SessionBridgeSaver,
    session: Session,
    *,
    checkpoint: Checkpoint = None,
    message: Message = None,
    turn: Turn = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the session's history.")] = None,
    actor: Actor = "operator",
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Make an earlier state of a session the newest again; nothing is lost. Not while the session runs elsewhere."""
    sessions = SessionBridge(saver).sessions
    found = sessions.rollback(
        session, checkpoint_id=checkpoint, message_id=message, turn=turn, reason=reason, actor=actor
    ).result()
    entry = found.transitions[-1]
    about = entry.about if entry.event == "rollback" else None
    if json:
        emit({"ok": True, "session": session, **(about or {})})
    else:
        say(f"back at {about['checkpoint_id']}, as {about['head']}" if about else "it is there already")
    return ExitCode.OK


def _plain(model: BaseModel) -> object:
    return json_module.loads(model.model_dump_json(exclude_none=True))
