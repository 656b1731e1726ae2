"""`erase`: everything of a session or of a user, counted, and searched for afterwards."""

from __future__ import annotations

from typing import Annotated

import typer

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import on_deployment
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, say
from langgraph_session_bridge.errors import InvalidInputError


@command
@on_deployment
def erase(
    saver: SessionBridgeSaver,
    session: Annotated[str | None, typer.Argument(help="Id of a session, or of a thread that is none.")] = None,
    *,
    user: Annotated[str | None, typer.Option(help="All sessions of this user.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: nothing of it can be brought back.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Erase everything of a session or a user from both servers; exit code 1 if something is left."""
    if yes == dry_run:
        raise InvalidInputError("Add --dry-run to see what would go, or --yes to erase it.")
    report = SessionBridge(saver).sessions.erase(session, user_id=user, dry_run=dry_run).result()
    done = dry_run or report.complete
    if json:
        emit({"ok": done, **report.model_dump(), "complete": report.complete})
    else:
        say(f"{'would erase' if dry_run else 'erased'} {len(report.sessions):,} sessions")
        for kind, count in sorted(report.counts.items()):
            say(f"  {count:,} {kind}")
        for name, reason in report.failed.items():
            say(f"failed {name!r}: {reason}")
        for kind, count in sorted(report.remaining.items()):
            say(f"left: {count:,} {kind}; somebody wrote meanwhile, erase again")
        if report.complete:
            say("nothing is left in either server")
    return ExitCode.OK if done else ExitCode.PROBLEM
