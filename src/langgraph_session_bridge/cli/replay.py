"""`replay`: what happened in a session, as it happened."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer
from rich.text import Text

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import looking_at_deployment
from langgraph_session_bridge.cli.exporting import Key, Kinds
from langgraph_session_bridge.cli.listing import Session, among, cell
from langgraph_session_bridge.cli.output import Debug, ExitCode, command, out
from langgraph_session_bridge.sessions.export.entries import KINDS, Entry

_STYLES = {
    "message": "bold",
    "tool": "cyan",
    "model": "magenta",
    "context": "yellow",
    "interrupt": "bold yellow",
    "resume": "green",
    "error": "bold red",
    "condensation": "magenta",
}
_QUIET = ("checkpoint", "run")
_LINES = 12
"""So many lines of a text are shown."""


@command
@looking_at_deployment
def replay(
    saver: SessionBridgeSaver,
    session: Session,
    *,
    speed: Annotated[float, typer.Option(help="Times the pace at which it happened; 0 is all at once.", min=0)] = 1.0,
    max_gap: Annotated[float, typer.Option(help="Longest pause, in seconds of the session.", min=0.01)] = 2.0,
    start: Annotated[int | None, typer.Option(min=0, help="Begin with the entry at this position.")] = None,
    turn: Annotated[int | None, typer.Option(min=0, help="Begin with this turn of the user's.")] = None,
    until: Annotated[int | None, typer.Option(min=0, help="End with the entry at this position.")] = None,
    kinds: Kinds = None,
    redact: Annotated[bool, typer.Option("--redact/--no-redact", help="Take secrets out.")] = True,
    key: Key = "messages",
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each entry, one a line.")] = False,
    debug: Debug = False,
) -> ExitCode:
    """Replay a session in the terminal; checkpoints and runs only if they are asked for. Ctrl-C ends it."""
    wanted = among("kind", kinds, KINDS) or [kind for kind in KINDS if kind not in _QUIET]
    played = SessionBridge(saver).sessions.replay(
        session,
        speed=speed or None,
        start=start,
        turn=turn,
        until=until,
        kinds=wanted,  # type: ignore[arg-type]
        max_gap_s=max_gap,
        redact=redact,
        key=key,
    )
    before = -1
    try:
        for entry in played:
            if json:
                typer.echo(json_module.dumps(entry.model_dump(mode="json", exclude_none=True), ensure_ascii=False))
            else:
                _show(entry, heading=entry.turn != before)
            before = entry.turn
    except KeyboardInterrupt:
        return ExitCode.OK
    return ExitCode.OK


def _show(entry: Entry, *, heading: bool) -> None:
    console = out()
    if heading and entry.turn:
        console.print(Text(f"\nturn {entry.turn}", style="dim"))
    line = Text.assemble(
        (entry.at.astimezone().strftime("%H:%M:%S "), "dim"),
        (f"{entry.kind:<12} ", _STYLES.get(entry.kind, "dim")),
        cell(entry.title),
    )
    told = [entry.status, None if entry.duration_s is None else f"{entry.duration_s:.3g} s"]
    for each in filter(None, told):
        line.append_text(Text("  ")).append_text(cell(each, "red" if each == "error" else "dim"))
    console.print(line, soft_wrap=True)
    lines = entry.text.splitlines()
    for text in lines[:_LINES]:
        console.print(Text(" " * 9).append_text(cell(text)), soft_wrap=True)
    if len(lines) > _LINES:
        console.print(Text(f"{' ' * 9}… {len(lines) - _LINES} more lines", style="dim"))
