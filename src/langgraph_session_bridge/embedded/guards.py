"""A server's own mark: a file that it keeps locked for as long as it lives, and that says who it is.

The state file alone is not enough. A starter may be killed after it started a server and before it wrote that
down, and two servers on the same data would destroy it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from langgraph_session_bridge.embedded.layout import Layout
from langgraph_session_bridge.embedded.locks import is_held, lock_until, open_lock_file
from langgraph_session_bridge.embedded.processes import birth_of, has_open
from langgraph_session_bridge.embedded.state import ServerRecord, State

_ANNOUNCE = 'echo $$ >> "$0" && exec "$@"'
"""The process writes its id and then becomes the server, so no server runs that has not said who it is."""

_ANNOUNCE_WAIT_S = 2.0
_POLL_S = 0.005


def take(path: Path, deadline: float) -> int | None:
    """Lock a guard for a server to inherit; `None` if a server still holds it at the deadline."""
    descriptor = open_lock_file(path)
    if lock_until(descriptor, deadline):
        return descriptor
    os.close(descriptor)
    return None


def announcing(path: Path, guard: int, command: Sequence[str], facts: dict[str, object]) -> list[str]:
    """Write down what is known before the start; returns a command that adds the process id, then starts."""
    os.truncate(guard, 0)
    os.write(guard, json.dumps(facts).encode() + b"\n")
    return ["/bin/sh", "-c", _ANNOUNCE, str(path), *command]


def complete(layout: Layout, known: State, names: Sequence[str]) -> State:
    """The state with the running servers that it lacks, as their guards tell."""
    alive = known.alive()
    for name in names:
        record = None if name in alive else _holder(layout.guard_of(name))
        if record is not None:
            known = known.with_server(name, record)
    return known


def _holder(path: Path) -> ServerRecord | None:
    """The server that holds a guard; `None` if nobody does, or nobody whom this process can see."""
    deadline = time.monotonic() + _ANNOUNCE_WAIT_S
    while path.exists() and is_held(path):
        record = _read(path)
        # The id of a server in another container is some other process here, which must not be stopped.
        if record is not None and has_open(record.pid, path):
            return record
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_S)
    return None


def _read(path: Path) -> ServerRecord | None:
    facts, _, pid = path.read_text().partition("\n")
    if not pid.endswith("\n"):
        return None
    try:
        return ServerRecord(pid=int(pid), birth=birth_of(int(pid)) or "", **json.loads(facts))
    except (ValueError, TypeError):
        return None
