"""`sweep`: removes what nobody can reach any more; with `--sessions`, the sessions whose lifetime is over."""

from __future__ import annotations

from typing import Annotated

import typer

from langgraph_session_bridge.bridge import SessionBridge
from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import on_deployment
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, plain, say
from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.sessions.lifecycle.sweeping import GRACE_S, Then
from langgraph_session_bridge.sessions.models import SessionSweep

_LEFTOVER_S = 60.0


@command
@on_deployment
def sweep(
    saver: SessionBridgeSaver,
    threads: Annotated[list[str] | None, typer.Argument(help="Thread ids.", show_default="those deleted from")] = None,
    *,
    sessions: Annotated[bool, typer.Option("--sessions", help="Delete sessions whose lifetime is over.")] = False,
    mark: Annotated[bool, typer.Option("--mark", help="Only mark such sessions as expired.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Look at so many such sessions at most.")] = None,
    grace_s: Annotated[
        float | None,
        typer.Option("--grace", min=0, help="Seconds that it must be out of reach, or over.", show_default="60; 30"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Remove what late flushes and deletions that were cut off left in MongoDB; once a day is enough.

    With --sessions: delete sessions whose lifetime is over, with all that belongs to them. Files that an application
    keeps for them are its own: let it sweep with its hooks, or use --mark here.
    """
    if sessions:
        if threads:
            raise InvalidInputError("Sessions are swept by their lifetime; leave the thread ids out.")
        grace = GRACE_S if grace_s is None else grace_s
        return _sweep_sessions(saver, "expire" if mark else "delete", grace, limit, dry_run=dry_run, json=json)
    if mark or limit is not None:
        raise InvalidInputError("--mark and --limit are for --sessions.")
    grace = _LEFTOVER_S if grace_s is None else grace_s
    report = saver.sweep(threads or [], grace_s=grace, dry_run=dry_run)
    if json:
        emit({"ok": True, **plain(report)})
    else:
        verb = "would remove" if dry_run else "removed"
        say(f"{verb} {report.documents:,} documents of {report.threads:,} threads")
        for thread_id in report.skipped:
            say(f"skipped {thread_id!r}: it has dead letters, or is being copied to")
    return ExitCode.OK


def _sweep_sessions(
    saver: SessionBridgeSaver, then: Then, grace_s: float, limit: int | None, *, dry_run: bool, json: bool
) -> ExitCode:
    report = SessionBridge(saver).sessions.sweep(then=then, grace_s=grace_s, limit=limit, dry_run=dry_run).result()
    if json:
        emit({"ok": not report.failed, **report.model_dump()})
    else:
        _tell(report)
    return ExitCode.PROBLEM if report.failed else ExitCode.OK


def _tell(report: SessionSweep) -> None:
    would = "would be " if report.dry_run else ""
    for verb, names in (("deleted", report.deleted), ("marked as expired", report.expired)):
        if names:
            say(f"{would}{verb}: {', '.join(map(repr, names))}")
    say(f"{would}swept {len(report.deleted) + len(report.expired):,} sessions")
    if report.finished:
        say(f"{would}completed {report.finished:,} deletions that were cut off")
    for what, reasons in (("kept", report.kept), ("failed", report.failed)):
        for name, reason in reasons.items():
            say(f"{what} {name!r}: {reason}")
    if report.more:
        say("there are more; raise --limit, or sweep again")
