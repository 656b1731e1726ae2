"""`up`, `down` and `status`: the embedded servers of a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from langgraph_session_bridge import embedded
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, out, plain, say

Directory = Annotated[
    Path | None, typer.Option("--path", help="The servers' directory; this user's by default.", show_default=False)
]


@command
def up(*, path: Directory = None, json: Json = False, debug: Debug = False) -> ExitCode:
    """Start MongoDB and Valkey on this machine and keep them running until `down`."""
    found = embedded.up(path)
    if json:
        emit({"ok": found.running, **plain(found)})
    else:
        _show(found)
        say()
        say(f"export LSB_MONGODB_URI='{found.mongodb_uri}'")
        say(f"export LSB_REDIS_URL='{found.redis_url}'")
    return ExitCode.OK if found.running else ExitCode.UNAVAILABLE


@command
def down(
    *,
    path: Directory = None,
    force: Annotated[bool, typer.Option(help="Stop them even if other processes use them.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Stop the servers of `up`, unless other processes use them."""
    report = embedded.down(path, force=force)
    if json:
        emit({"ok": not report.refused, **plain(report)})
    elif report.refused:
        users = "other processes use" if report.clients is None else f"{report.clients} other process(es) use"
        say(f"{users} the servers in {report.path}; nothing was stopped. End them first, or pass --force.")
    else:
        say(f"stopped {' and '.join(report.stopped) or 'nothing: nothing was running'} in {report.path}")
    return ExitCode.PROBLEM if report.refused else ExitCode.OK


@command
def status(*, path: Directory = None, json: Json = False, debug: Debug = False) -> ExitCode:
    """Tell what runs on this machine; exit code 3 if the servers don't."""
    found = embedded.status(path)
    if json:
        emit({"ok": found.running, **plain(found)})
    else:
        _show(found)
    return ExitCode.OK if found.running else ExitCode.UNAVAILABLE


def _show(found: embedded.EmbeddedStatus) -> None:
    if not found.servers:
        say(f"no servers were ever started in {found.path} (session-bridge up)")
        return
    table = Table("server", "version", "state", "pid", "log", box=None, pad_edge=False)
    for server in found.servers:
        state = "[green]running[/]" if server.running else "[yellow]stopped[/]"
        table.add_row(server.name, server.version, state, str(server.pid or "-"), str(server.log))
    out().print(table)
    stay = "until `session-bridge down`" if found.kept else "until the last process that uses them ends"
    if found.running:
        users = "unknown" if found.clients is None else str(found.clients)
        say(f"directory {found.path}; processes that use them: {users}; they run {stay}")
