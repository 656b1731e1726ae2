"""Command lines of a Valkey that others can join."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from langgraph_session_bridge.embedded.binaries import find_redis_server

from .processes import LOOPBACK, Folder, Process


def server_binary() -> str:
    binary = find_redis_server()
    if binary.version < (7, 0):
        pytest.skip(f"{binary.path} is {binary.version_text}: clusters on loopback need Redis 7 or Valkey")
    return str(binary.path)


def add_valkey(folder: Folder, port: int, **options: str) -> Process:
    place = folder.path / str(port)
    place.mkdir()
    given = {
        "port": str(port),
        "bind": LOOPBACK,
        "dir": str(place),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "repl-diskless-sync-delay": "0",
        **{name.replace("_", "-"): value for name, value in options.items()},
    }
    words = [word for name, value in given.items() for word in (f"--{name}", *value.split(" "))]
    return folder.add(str(port), [server_binary(), *words], port)


def add_sentinel(folder: Folder, port: int, config: str) -> Process:
    place = folder.path / str(port)
    place.mkdir()
    file: Path = place / "sentinel.conf"
    file.write_text(f"port {port}\nbind {LOOPBACK}\ndir {place}\n{config}")
    return folder.add(str(port), [server_binary(), str(file), "--sentinel"], port)


def client_of(process: Process, **options: Any) -> Redis:
    return Redis(LOOPBACK, process.port, socket_timeout=1, socket_connect_timeout=1, decode_responses=True, **options)


def ask(process: Process, *command: Any) -> Any:
    with client_of(process) as client:
        return client.execute_command(*command)
