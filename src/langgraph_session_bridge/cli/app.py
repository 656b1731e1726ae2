"""The commands and what is common to them."""

from __future__ import annotations

from typing import Annotated

import typer

from langgraph_session_bridge.cli.analytics import analytics
from langgraph_session_bridge.cli.context import context
from langgraph_session_bridge.cli.dead import dead
from langgraph_session_bridge.cli.demo import demo
from langgraph_session_bridge.cli.doctor import doctor
from langgraph_session_bridge.cli.erase import erase
from langgraph_session_bridge.cli.events import events
from langgraph_session_bridge.cli.exporting import export, import_session
from langgraph_session_bridge.cli.history import branch, diff, history, rollback
from langgraph_session_bridge.cli.journal import drain, flusher, health, stats
from langgraph_session_bridge.cli.replay import replay
from langgraph_session_bridge.cli.servers import down, status, up
from langgraph_session_bridge.cli.sessions import ls, show_session
from langgraph_session_bridge.cli.sweep import sweep
from langgraph_session_bridge.cli.tools import tools
from langgraph_session_bridge.cli.versions import PROJECT, version_of

_EPILOG = (
    "Exit codes: 0 all is well, 1 a problem was found, 2 the command or the configuration is wrong, "
    "3 a server is not available."
)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, epilog=_EPILOG)
for _verb in (
    demo,
    up,
    down,
    status,
    doctor,
    health,
    stats,
    drain,
    flusher,
    sweep,
    erase,
    ls,
    tools,
    context,
    events,
    analytics,
    export,
    replay,
):
    app.command(epilog=_EPILOG)(_verb)
app.command("show", epilog=_EPILOG)(show_session)
for _verb in (history, diff, branch, rollback):
    app.command(epilog=_EPILOG)(_verb)
app.command("import", epilog=_EPILOG)(import_session)
app.add_typer(dead, name="dead", epilog=_EPILOG)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROJECT} {version_of(PROJECT)}")
        raise typer.Exit


@app.callback()
def session_bridge(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Session persistence for LangGraph agents: MongoDB behind a Redis write-behind journal."""
