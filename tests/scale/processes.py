"""Servers of our own that form sets and clusters: started together, waited for by state, ended whatever happens."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from faults.harness import wait_until

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind((LOOPBACK, 0))
        return [int(sock.getsockname()[1]) for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), 0.5).close()
    except OSError:
        return False
    return True


class Process:
    """One server process, signalled by its own id only."""

    def __init__(self, command: Sequence[str], port: int, folder: Path) -> None:
        self.command, self.port, self.folder = command, port, folder
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; `ready` waits until it listens."""
        with (self.folder / "output.log").open("ab") as log:
            self._popen = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)

    def ready(self) -> None:
        wait_until(self._listens, f"{self.command[0]} listens; see {self.folder}/output.log")

    def _listens(self) -> bool:
        assert self.running, f"ended: {(self.folder / 'output.log').read_text()[-2000:]}"
        return accepts(self.port)

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def signal(self, number: int) -> None:
        if self.running:
            assert self._popen is not None
            os.kill(self._popen.pid, number)

    def kill(self) -> None:
        """`kill -9`, returning when the process is gone."""
        self.signal(signal.SIGKILL)
        if self._popen is not None:
            self._popen.wait(10)

    def revive(self) -> None:
        """It runs on, or again on the same data."""
        self.signal(signal.SIGCONT)
        if not self.running:
            self.start()
            self.ready()


class Folder:
    """A temporary folder with servers in it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="lsbs", dir="/tmp"))
        self.processes: list[Process] = []

    def add(self, name: str, command: Sequence[str], port: int) -> Process:
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        self.processes.append(Process(command, port, folder))
        return self.processes[-1]

    def start(self, processes: Iterable[Process]) -> None:
        """Starts servers side by side."""
        started = list(processes)
        for process in started:
            process.start()
        for process in started:
            process.ready()

    def revive(self) -> None:
        for process in self.processes:
            process.revive()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        shutil.rmtree(self.path, ignore_errors=True)
