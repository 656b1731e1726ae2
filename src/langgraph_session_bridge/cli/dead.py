"""`dead list`, `dead redrive` and `dead discard`: what MongoDB refuses for good."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import looking_at_deployment, on_deployment
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, out, plain, say
from langgraph_session_bridge.storage.protocols import DeadLetter

Threads = Annotated[list[str] | None, typer.Argument(help="Thread ids; all by default.", show_default=False)]

dead = typer.Typer(no_args_is_help=True, help="Puts that MongoDB refuses for good, and what came after them.")


@dead.command("list")
@command
@looking_at_deployment
def list_(
    saver: SessionBridgeSaver,
    threads: Threads = None,
    *,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Show dead letters; exit code 1 if there are any."""
    letters = saver.list_dead(threads or [])
    if json:
        emit({"ok": not letters, "dead_letters": plain(letters)})
    else:
        _show(letters)
    return ExitCode.PROBLEM if letters else ExitCode.OK


@dead.command()
@command
@on_deployment
def redrive(
    saver: SessionBridgeSaver,
    threads: Threads = None,
    *,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Flush dead letters again, once their cause is gone; exit code 1 if MongoDB refuses one again."""
    taken = saver.redrive(threads or [])
    left = saver.list_dead(threads or [])
    if json:
        emit({"ok": not left, "redriven": taken, "dead_letters": plain(left)})
    else:
        say(f"MongoDB took {taken:,}; {len(left):,} are dead letters again")
    return ExitCode.PROBLEM if left else ExitCode.OK


@dead.command()
@command
@on_deployment
def discard(
    saver: SessionBridgeSaver,
    threads: Annotated[list[str], typer.Argument(help="Thread ids.")],
    *,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Give dead letters up: what was acknowledged in them is lost, and the threads go on from what MongoDB holds."""
    given_up = saver.discard(threads)
    if json:
        emit({"ok": True, "discarded": given_up})
    else:
        say(f"gave up {given_up:,} entries")
    return ExitCode.OK


def _show(letters: list[DeadLetter]) -> None:
    if not letters:
        say("no dead letters")
        return
    table = Table("thread", "checkpoint", "kind", "bytes", "reason", box=None, pad_edge=False)
    for letter in letters:
        kind = "checkpoint" if letter.kind == "c" else "writes"
        table.add_row(
            escape(letter.thread_id), escape(letter.checkpoint_id), kind, f"{letter.size:,}", escape(letter.reason)
        )
    out().print(table)
