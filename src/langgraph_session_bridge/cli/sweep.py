"""`sweep`: what is left over in MongoDB, where nobody can read it."""

from __future__ import annotations

from typing import Annotated

import typer

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import on_deployment
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, plain, say


@command
@on_deployment
def sweep(
    saver: SessionBridgeSaver,
    threads: Annotated[list[str] | None, typer.Argument(help="Thread ids.", show_default="those deleted from")] = None,
    *,
    grace_s: Annotated[float, typer.Option("--grace", help="Seconds that something must be out of reach.")] = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Remove what late flushes and deletions that were cut off left in MongoDB; once a day is enough."""
    report = saver.sweep(threads or [], grace_s=grace_s, dry_run=dry_run)
    if json:
        emit({"ok": True, **plain(report)})
    else:
        verb = "would remove" if dry_run else "removed"
        say(f"{verb} {report.documents:,} documents of {report.threads:,} threads")
        for thread_id in report.skipped:
            say(f"skipped {thread_id!r}: it has dead letters, or is being copied to")
    return ExitCode.OK
