"""`dead list`, `dead redrive` and `dead discard`: what MongoDB refuses for good."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from langgraph_session_bridge.cli.deployment import Database, MongoUri, Prefix, RedisUrl, opened
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, out, plain, say
from langgraph_session_bridge.cli.servers import Directory
from langgraph_session_bridge.storage.protocols import DeadLetter

Threads = Annotated[list[str] | None, typer.Argument(help="Thread ids; all by default.", show_default=False)]

dead = typer.Typer(no_args_is_help=True, help="Puts that MongoDB refuses for good, and what came after them.")


@dead.command("list")
@command
def list_(
    threads: Threads = None,
    *,
    mongodb_uri: MongoUri = None,
    redis_url: RedisUrl = None,
    database: Database = None,
    prefix: Prefix = None,
    path: Directory = None,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Show dead letters; exit code 1 if there are any."""
    with opened(mongodb_uri, redis_url, database, prefix, path) as saver:
        letters = saver.list_dead(threads or [])
    if json:
        emit({"ok": not letters, "dead_letters": plain(letters)})
    else:
        _show(letters)
    return ExitCode.PROBLEM if letters else ExitCode.OK


@dead.command()
@command
def redrive(
    threads: Threads = None,
    *,
    mongodb_uri: MongoUri = None,
    redis_url: RedisUrl = None,
    database: Database = None,
    prefix: Prefix = None,
    path: Directory = None,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Flush dead letters again, once their cause is gone; exit code 1 if MongoDB refuses one again."""
    with opened(mongodb_uri, redis_url, database, prefix, path) as saver:
        taken = saver.redrive(threads or [])
        left = saver.list_dead(threads or [])
    if json:
        emit({"ok": not left, "redriven": taken, "dead_letters": plain(left)})
    else:
        say(f"MongoDB took {taken:,}; {len(left):,} are dead letters again")
    return ExitCode.PROBLEM if left else ExitCode.OK


@dead.command()
@command
def discard(
    threads: Annotated[list[str], typer.Argument(help="Thread ids.")],
    *,
    mongodb_uri: MongoUri = None,
    redis_url: RedisUrl = None,
    database: Database = None,
    prefix: Prefix = None,
    path: Directory = None,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Give dead letters up: what was acknowledged in them is lost, and the threads go on from what MongoDB holds."""
    with opened(mongodb_uri, redis_url, database, prefix, path) as saver:
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
