"""`export` and `import`: a session as a file, and a file as a session again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import on_deployment
from langgraph_session_bridge.cli.listing import Session, among
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, say
from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.sessions.export.entries import KINDS
from langgraph_session_bridge.sessions.export.formats import FormatName, format_of

_FORMATS = get_args(FormatName)

Kinds = Annotated[
    list[str] | None, typer.Option("--kind", help=f"Only this: {', '.join(KINDS)}; may be repeated.", metavar="KIND")
]
Key = Annotated[str, typer.Option(help="Key of the state that holds the messages.")]


@command
@on_deployment
def export(
    saver: SessionBridgeSaver,
    session: Session,
    *,
    format: Annotated[str, typer.Option("--format", "-f", help=f"One of {', '.join(_FORMATS)}.")] = "jsonl",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file.", show_default="standard out")] = None,
    redact: Annotated[
        bool | None,
        typer.Option("--redact/--no-redact", help="Take secrets out.", show_default="in all formats but jsonl"),
    ] = None,
    kinds: Kinds = None,
    key: Key = "messages",
    debug: Debug = False,
) -> ExitCode:
    """Export a session: jsonl loses nothing and can be imported again, html is a page that plays it."""
    format_of(format)
    wanted = among("kind", kinds, KINDS)
    sessions = SessionBridge(saver).sessions
    chosen: FormatName = format  # type: ignore[assignment]
    if output is not None:
        if not output.parent.is_dir():
            raise InvalidInputError(f"There is no folder {output.parent}.")
        sessions.export(session, chosen, redact=redact, to=output, kinds=wanted, key=key).result()  # type: ignore[arg-type]
        say(f"wrote {output} ({output.stat().st_size:,} bytes)")
        return ExitCode.OK
    for piece in sessions.export_chunks(session, chosen, redact=redact, kinds=wanted, key=key):  # type: ignore[arg-type]
        sys.stdout.write(piece)
    sys.stdout.flush()
    return ExitCode.OK


@command
@on_deployment
def import_session(
    saver: SessionBridgeSaver,
    file: Annotated[str, typer.Argument(help="What `export --format jsonl` wrote; `-` for standard input.")],
    *,
    session_id: Annotated[
        str | None, typer.Option("--as", help="The id that the session is to have.", show_default="its own")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Whose it is to be.", show_default="the same user's")] = None,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Import a session that was exported as jsonl; nothing is written if a line of it cannot be used."""
    source = sys.stdin if file == "-" else file
    found = SessionBridge(saver).sessions.import_(source, session_id, user_id=user).result()
    if json:
        emit({"ok": True, "session_id": found.session_id, "thread_id": found.thread_id, "status": found.status})
    else:
        say(f"imported session {found.session_id} ({found.status})")
    return ExitCode.OK
