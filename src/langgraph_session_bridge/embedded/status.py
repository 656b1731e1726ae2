"""What runs in a directory, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from langgraph_session_bridge.embedded import state
from langgraph_session_bridge.embedded.layout import Layout
from langgraph_session_bridge.embedded.locks import count_shared
from langgraph_session_bridge.embedded.state import ServerRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """One server, running or not; of one that is not, version and port are those of its last run."""

    name: str
    running: bool
    pid: int | None
    port: int
    version: str
    binary: Path
    files: Path
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedStatus:
    """The instance of a directory.

    Attributes:
        path: The directory.
        running: Both servers run and serve.
        kept: They stay when the last client leaves, until `down`.
        clients: Attached clients; `None` where the system does not tell.
        mongodb_uri: Where MongoDB answers, if it runs.
        redis_url: Where the Redis-compatible server answers, if it runs.
        servers: Those that were ever started there.
    """

    path: Path
    running: bool
    kept: bool
    clients: int | None
    mongodb_uri: str | None
    redis_url: str | None
    servers: tuple[ServerStatus, ...]


def status_of(layout: Layout) -> EmbeddedStatus:
    """Read the status without any lock: the state is replaced at once, so it is whole."""
    known = state.load(layout)
    alive = {name: record for name, record in known.alive().items() if record.ready}
    mongodb, redis = alive.get("mongodb"), alive.get("redis")
    return EmbeddedStatus(
        path=layout.root,
        running=mongodb is not None and redis is not None,
        kept=known.keep and bool(alive),
        clients=count_shared(layout.clients) if layout.clients.exists() else 0,
        mongodb_uri=None if mongodb is None else layout.mongodb_uri(mongodb.port),
        redis_url=None if redis is None else layout.redis_url(redis.port),
        servers=tuple(_server(layout, name, record, name in alive) for name, record in sorted(known.servers.items())),
    )


def _server(layout: Layout, name: str, record: ServerRecord, running: bool) -> ServerStatus:
    return ServerStatus(
        name=name,
        running=running,
        pid=record.pid if running else None,
        port=record.port,
        version=record.version,
        binary=Path(record.binary),
        files=layout.files_of(name),
        log=layout.log_of(name),
    )
