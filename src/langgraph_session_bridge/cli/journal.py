"""`health`, `stats`, `drain` and `flusher`: what is unflushed, and getting it to MongoDB without an application."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.cli.deployment import looking_at_deployment, on_deployment
from langgraph_session_bridge.cli.output import Debug, ExitCode, Json, command, emit, plain, say
from langgraph_session_bridge.storage.stats import Stats


@command
@looking_at_deployment
def health(
    saver: SessionBridgeSaver,
    *,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Tell whether both servers answer and anything is unsaved; exit code 1 if not all is well."""
    found = saver.health()
    if json:
        emit({"ok": found.verdict == "ok", **plain(found)})
    else:
        for name, value in plain(found).items():
            say(f"{name:19} {value}")
    return ExitCode.OK if found.verdict == "ok" else ExitCode.PROBLEM


@command
@looking_at_deployment
def stats(
    saver: SessionBridgeSaver,
    *,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Tell how much is in Redis and not yet in MongoDB; exit code 1 if there are dead letters."""
    found = saver.stats()
    _show(found, json=json)
    return ExitCode.PROBLEM if found.dead_letters else ExitCode.OK


@command
@on_deployment
def drain(
    saver: SessionBridgeSaver,
    *,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Flush everything that any process left in Redis; exit code 1 if dead letters stay behind."""
    flushed = saver.flush()
    found = saver.stats()
    if json:
        emit({"ok": not found.dead_letters, "flushed_entries": flushed, **plain(found)})
    else:
        say(f"flushed {flushed:,} entries; {found.dead_letters:,} dead letters")
    return ExitCode.PROBLEM if found.dead_letters else ExitCode.OK


@command
@on_deployment
def flusher(
    saver: SessionBridgeSaver,
    *,
    for_s: Annotated[float | None, typer.Option("--for", help="Stop after so many seconds.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> ExitCode:
    """Keep flushing what any process leaves in Redis, until SIGTERM or Ctrl-C; then drain and end."""
    ended = threading.Event()
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        if not json:
            say("flushing; SIGTERM or Ctrl-C ends it")
        ended.wait(for_s)
        saver.flush()
        found = saver.stats()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    _show(found, json=json)
    return ExitCode.PROBLEM if found.dead_letters else ExitCode.OK


def _show(found: Stats, *, json: bool) -> None:
    if json:
        emit({"ok": not found.dead_letters, **plain(found)})
        return
    say(f"unflushed     {found.unflushed_entries:,} entries, {found.unflushed_bytes:,} bytes")
    say(f"dead letters  {found.dead_letters:,}")
    for name, count in sorted(found.counters.items()):
        say(f"{name:13} {count:,}")
