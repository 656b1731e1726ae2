"""A directory with a short path for each test, client processes, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from langgraph_session_bridge.embedded import EmbeddedStatus, down, status

_CLIENT = Path(__file__).with_name("client.py")


class ClientProcess:
    """A process that runs `client.py`; construction does not wait for it."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(_CLIENT), str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )

    def answer(self) -> Any:
        """Its next line; waits for it."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def detach(self) -> bool:
        """Let it leave; returns whether it stopped the servers."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"detach\n")
        self.process.stdin.flush()
        return bool(self.answer())

    def kill(self) -> None:
        """End it as the kernel does."""
        self.process.kill()
        self.close()

    def close(self) -> None:
        """End it without leaving, and wait until it is gone."""
        self.process.communicate(timeout=20)


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty directory whose socket path fits; its servers are stopped in the end."""
    folder = Path(tempfile.mkdtemp(prefix="lsb", dir="/tmp"))
    yield folder
    down(folder, force=True)
    shutil.rmtree(folder)


@pytest.fixture
def start_client(home: Path) -> Iterator[StartClient]:
    """Starts client processes of `home`."""
    clients: list[ClientProcess] = []

    def start() -> ClientProcess:
        clients.append(ClientProcess(home))
        return clients[-1]

    yield start
    for client in clients:
        if client.process.poll() is None:
            client.kill()


StartClient = Callable[[], ClientProcess]


def mongo_client(uri: str) -> MongoClient[dict[str, Any]]:
    """A client with bounded waits."""
    return MongoClient(uri, serverSelectionTimeoutMS=5000)


def environment() -> dict[str, str]:
    """The environment of a child process that imports what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def pids(state: EmbeddedStatus) -> list[int]:
    """The server processes that run."""
    return [server.pid for server in state.servers if server.pid is not None]


def kill_servers(home: Path) -> None:
    """End both servers as a crash does, and wait until they are gone."""
    for pid in pids(status(home)):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not pids(status(home)))


def servers_in(home: Path) -> list[str]:
    """Names of the server programs that run in the directory, known to its state or not (Linux)."""
    return sorted(name for folder in Path("/proc").glob("[0-9]*") if (name := _server_in(folder, home)))


def _server_in(process: Path, home: Path) -> str | None:
    try:
        name, folder = (process / "exe").readlink().name, (process / "cwd").readlink()
    except OSError:
        return None
    is_server = name in ("mongod", "valkey-server", "redis-server")
    return name if is_server and home in (folder, folder.parent) else None


def wait_until(condition: Callable[[], bool], *, within_s: float = 20.0) -> None:
    """Wait for a state."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the state was not reached in time"
        time.sleep(0.005)
