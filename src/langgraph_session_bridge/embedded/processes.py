"""Server processes: started in a session of their own, recognised again later, stopped.

A process is known by its id *and* its birth, since ids are reused. A zombie counts as dead.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

_POLL_S = 0.01
_KILL_WAIT_S = 5.0

_children: set[int] = set()
"""Servers that this process started, to be reaped when they end."""


def spawn(command: Sequence[str], *, cwd: Path, log: Path, guard: int) -> int:
    """Start a server that outlives this process and ignores its Ctrl-C; returns its id.

    The server inherits `guard`, a locked file: the lock lasts exactly as long as the server does.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
            pass_fds=(guard,),
            umask=0o077,
            start_new_session=True,
        )
    # It is to outlive this process: `Popen` must not warn of that when it is collected. Reaping is done here.
    process.returncode = 0
    _children.add(process.pid)
    return process.pid


def birth_of(pid: int) -> str | None:
    """When a process began, as text that no other process with this id ever has; `None` if it is dead."""
    _reap(pid)
    if not Path("/proc/self/stat").exists():
        return _birth_by_ps(pid)
    try:
        # The name, in parentheses, may hold spaces; the fields after it are state (0) and start time (19).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{_boot_id()}/{fields[19]}"


def is_alive(pid: int, birth: str) -> bool:
    """Whether the process with this id still is the one that was born then."""
    return birth_of(pid) == birth


def has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open; where the system does not tell, whether it lives."""
    if not Path("/proc/self/fd").exists():
        return birth_of(pid) is not None
    try:
        return any(link.exists() and link.samefile(path) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def stop(processes: Sequence[tuple[int, str]], *, timeout_s: float) -> None:
    """Ask all to end, wait for them, and kill those that have not ended in time.

    Killing loses nothing that was acknowledged: both servers sync before they answer.
    """
    _signal(processes, signal.SIGTERM)
    if not _await_end(processes, timeout_s):
        _signal(processes, signal.SIGKILL)
        _await_end(processes, _KILL_WAIT_S)


def _signal(processes: Sequence[tuple[int, str]], number: int) -> None:
    for pid, birth in processes:
        if is_alive(pid, birth):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def _await_end(processes: Sequence[tuple[int, str]], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(is_alive(pid, birth) for pid, birth in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _reap(pid: int) -> None:
    if pid not in _children:
        return
    try:
        ended, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # of the parent of this fork, or reaped by somebody else
        ended = pid
    if ended:
        _children.discard(pid)


@lru_cache(maxsize=1)
def _boot_id() -> str:
    """Start times count from boot, so the boot is part of a birth."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _birth_by_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=False)
    state, _, birth = done.stdout.decode().strip().partition(" ")
    return None if not birth or state.startswith("Z") else birth.strip()
