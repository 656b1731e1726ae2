"""Bringing both servers to serve: starting what is missing, adopting what a killed starter left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langgraph_session_bridge.embedded import guards, logs, processes, state
from langgraph_session_bridge.embedded.filesystems import require_usable
from langgraph_session_bridge.embedded.layout import Layout
from langgraph_session_bridge.embedded.mongodb_server import MONGODB
from langgraph_session_bridge.embedded.ports import accepts, free_port
from langgraph_session_bridge.embedded.probing import Binary
from langgraph_session_bridge.embedded.redis_server import REDIS
from langgraph_session_bridge.embedded.servers import Server
from langgraph_session_bridge.embedded.state import ServerRecord
from langgraph_session_bridge.errors import EmbeddedServerError

SERVERS = (MONGODB, REDIS)
"""Slowest first: they start side by side."""

NAMES = tuple(server.name for server in SERVERS)
STOP_TIMEOUT_S = 30.0
_PORT_ATTEMPTS = 4
_GUARD_WAIT_S = 10.0
_POLL_S = 0.01
_PORT_TAKEN = "Address already in use"


class Starter:
    """One run of starting, under the exclusive lock of the instance.

    Attributes:
        state: What is known of the instance; every change is saved at once, so that a starter that is killed
            leaves nothing unknown behind.
        started: Names of the servers that this run started.
    """

    def __init__(self, layout: Layout, deadline: float) -> None:
        """Begin with the saved state; `deadline` is of `time.monotonic`."""
        self.state = state.load(layout)
        self.started: list[str] = []
        self._layout = layout
        self._deadline = deadline
        self._offsets: dict[str, int] = {}
        self._binaries: Mapping[str, Binary] = {}

    def run(self) -> None:
        """Start what is missing and wait until all serve; on failure, stop what was started.

        Raises:
            EmbeddedServerError: A server was not found, ended while it started, or did not serve in time.
        """
        self.state = guards.complete(self._layout, self.state, NAMES)
        alive = self.state.alive()
        missing = [server for server in SERVERS if server.name not in alive]
        if missing:
            require_usable(self._layout)
            # A wish of `up` ends with the servers it was about, for example with a reboot.
            self.state = replace(self.state, keep=self.state.keep and bool(alive))
            self._binaries = {server.name: server.find() for server in missing}
        try:
            for server in missing:
                self._launch(server)
            for server in SERVERS:
                self._settle(server)
        except BaseException:
            self._abandon()
            raise

    def _launch(self, server: Server) -> None:
        layout, name = self._layout, server.name
        binary = self._binaries.get(name) or server.find()
        port = free_port(self._preferred_port(name))
        command = server.command(layout, binary, port)
        layout.files_of(name).mkdir(mode=0o700, exist_ok=True)
        self._offsets[name] = logs.open_chapter(layout.log_of(name))
        facts: dict[str, Any] = {"port": port, "binary": str(binary.path), "version": binary.version_text}
        guard = self._take_guard(name)
        try:
            command = guards.announcing(layout.guard_of(name), guard, command, facts)
            pid = processes.spawn(command, cwd=layout.root, log=layout.log_of(name), guard=guard)
        finally:
            # Closing keeps the lock, as the server has inherited it.
            os.close(guard)
        self.started.append(name)
        self._record(name, ServerRecord(pid=pid, birth=processes.birth_of(pid) or "", **facts))

    def _preferred_port(self, name: str) -> int | None:
        """The last port, which spares mongod its move; after a clash in this run, any other one."""
        record = self.state.servers.get(name)
        return None if record is None or name in self.started else record.port

    def _take_guard(self, name: str) -> int:
        """Lock the file that a running server keeps locked: two servers must never share data."""
        wait_until = min(self._deadline, time.monotonic() + _GUARD_WAIT_S)
        guard = guards.take(self._layout.guard_of(name), wait_until)
        if guard is not None:
            return guard
        raise EmbeddedServerError(
            f"a {name} server that {self._layout.state} does not know still uses "
            f"{self._layout.files_of(name)}; end it first "
            f"(`fuser {self._layout.guard_of(name)}` names it; it may run in another container)"
        )

    def _settle(self, server: Server) -> None:
        """Wait until a server serves; start it again where it lost its port, or ended before our time."""
        for _ in range(_PORT_ATTEMPTS):
            record = self.state.servers[server.name]
            if self._serves(server, record):
                self._record(server.name, replace(record, ready=True))
                return
            if server.name in self.started and not self._port_taken(server.name):
                raise self._failure(server.name, "ended while it started")
            self._launch(server)
        raise self._failure(server.name, f"found no free port in {_PORT_ATTEMPTS} attempts")

    def _serves(self, server: Server, record: ServerRecord) -> bool:
        """Wait until the process serves (`True`) or has ended (`False`)."""
        if record.ready and accepts(record.port):
            return True
        while record.is_alive():
            if server.advance(record.port, record.pid):
                return True
            if time.monotonic() >= self._deadline:
                raise self._failure(server.name, "did not serve in time")
            time.sleep(_POLL_S)
        return False

    def _record(self, name: str, record: ServerRecord) -> None:
        if self.state.servers.get(name) != record:
            self.state = self.state.with_server(name, record)
            state.save(self._layout, self.state)

    def _abandon(self) -> None:
        mine = [record for name, record in self.state.servers.items() if name in self.started]
        processes.stop([(record.pid, record.birth) for record in mine], timeout_s=STOP_TIMEOUT_S)

    def _port_taken(self, name: str) -> bool:
        return _PORT_TAKEN in logs.chapter(self._layout.log_of(name), self._offsets[name])

    def _failure(self, name: str, what: str) -> EmbeddedServerError:
        log = self._layout.log_of(name)
        binary = self.state.servers[name].binary
        quoted = logs.quote(logs.chapter(log, self._offsets.get(name, 0)))
        return EmbeddedServerError(f"the embedded {name} server ({binary}) {what}. From its log {log}:\n{quoted}")
