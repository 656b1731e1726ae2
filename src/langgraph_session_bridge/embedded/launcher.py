"""One pair of servers per directory: the first client of any process starts it, the last one stops it."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from langgraph_session_bridge.embedded import guards, processes, state
from langgraph_session_bridge.embedded.binaries import require_platform
from langgraph_session_bridge.embedded.layout import Layout, layout_at, prepare, unusable
from langgraph_session_bridge.embedded.locks import SharedHold, count_shared, exclusively, is_held
from langgraph_session_bridge.embedded.starting import NAMES, STOP_TIMEOUT_S, Starter
from langgraph_session_bridge.embedded.status import EmbeddedStatus, status_of
from langgraph_session_bridge.errors import EmbeddedServerError, InvalidInputError

_STOP_LOCK_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EmbeddedServers:
    """A client's attachment to the servers of a directory; a context manager that detaches.

    Attributes:
        mongodb_uri: Connection string for PyMongo, PyMongo async and Motor.
        redis_url: Connection string for redis-py.
        path: The directory.
        started: Names of the servers that this call had to start, `()` when it joined running ones.
    """

    mongodb_uri: str
    redis_url: str
    path: Path
    started: tuple[str, ...]
    _hold: SharedHold = field(repr=False)
    _processes: tuple[tuple[int, str], ...] = field(repr=False)

    def detach(self) -> bool:
        """Leave; the last client to leave stops the servers, unless `up` wants them kept.

        Runs at interpreter exit if it was not called before. Close the clients that use the servers first.
        After a fork, parent and child are both attached, and each leaves by detaching or by ending.

        Returns:
            Whether this call stopped the servers; `False` for every later call.
        """
        if not self._hold.release():
            return False
        atexit.unregister(self.detach)
        layout = Layout(root=self.path)
        with suppress(FileNotFoundError):
            if layout.clients.exists():
                return _stop_if_last(layout)
        # Somebody removed the directory, or as much of it as the servers let go: nobody can join or stop them any more.
        processes.stop(self._processes, timeout_s=STOP_TIMEOUT_S)
        return True

    def __enter__(self) -> Self:
        """Nothing to do: it is attached already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Detach."""
        self.detach()


@dataclass(frozen=True, slots=True, kw_only=True)
class DownReport:
    """What `down` did.

    Attributes:
        path: The directory.
        stopped: Names of the servers that it stopped.
        refused: Clients are attached, and `force` was not given: nothing was changed.
        clients: How many clients were attached, `None` where the system does not tell.
    """

    path: Path
    stopped: tuple[str, ...]
    refused: bool
    clients: int | None


def attach(path: str | os.PathLike[str] | None = None, *, start_timeout_s: float = 40.0) -> EmbeddedServers:
    """Join the servers of a directory as a client, starting them if they do not run.

    It blocks, for milliseconds when it joins; from a coroutine call it through `asyncio.to_thread`.

    ```python
    with attach() as servers:
        client = AsyncMongoClient(servers.mongodb_uri)
    ```

    Args:
        path: The directory; `None` is `$LSB_EMBEDDED_DIR` or this user's data directory.
        start_timeout_s: Bound of the whole call, waiting for another process that starts them included.

    Raises:
        InvalidInputError: `path` is a file, or the timeout is not positive.
        EmbeddedServerError: The servers cannot run here or did not start; the message says why.
    """
    with _starting(path, start_timeout_s) as (layout, deadline):
        # Before starting: a client that is still starting keeps a leaving one from stopping.
        hold = SharedHold(layout.clients, deadline)
        try:
            starter = Starter(layout, deadline)
            starter.run()
        except BaseException:
            hold.release()
            raise
    records = starter.state.servers
    servers = EmbeddedServers(
        mongodb_uri=layout.mongodb_uri(records["mongodb"].port),
        redis_url=layout.redis_url(records["redis"].port),
        path=layout.root,
        started=tuple(dict.fromkeys(starter.started)),
        _hold=hold,
        _processes=tuple((record.pid, record.birth) for record in records.values()),
    )
    atexit.register(servers.detach)
    return servers


def up(path: str | os.PathLike[str] | None = None, *, start_timeout_s: float = 40.0) -> EmbeddedStatus:
    """Start the servers of a directory, or find them running, and leave them running until `down`.

    Raises:
        InvalidInputError: As `attach`.
        EmbeddedServerError: As `attach`.
    """
    with _starting(path, start_timeout_s) as (layout, deadline):
        starter = Starter(layout, deadline)
        starter.run()
        state.save(layout, replace(starter.state, keep=True))
    return status_of(layout)


def down(path: str | os.PathLike[str] | None = None, *, force: bool = False) -> DownReport:
    """Stop the servers of a directory if no client is attached, or in any case with `force`.

    Raises:
        InvalidInputError: `path` is a file.
        EmbeddedServerError: Another process kept the directory locked.
    """
    require_platform()
    layout = layout_at(path)
    if not layout.lock.exists():
        return DownReport(path=layout.root, stopped=(), refused=False, clients=0)
    with _locked(layout, time.monotonic() + _STOP_LOCK_TIMEOUT_S):
        attached = is_held(layout.clients)
        clients = count_shared(layout.clients) if attached else 0
        refused = attached and not force
        stopped = () if refused else _stop(layout)
    return DownReport(path=layout.root, stopped=stopped, refused=refused, clients=clients)


def status(path: str | os.PathLike[str] | None = None) -> EmbeddedStatus:
    """What runs in a directory; starts, creates and locks nothing.

    Raises:
        InvalidInputError: `path` is a file.
    """
    return status_of(layout_at(path))


@contextmanager
def _starting(path: str | os.PathLike[str] | None, timeout_s: float) -> Iterator[tuple[Layout, float]]:
    """A directory that is prepared and locked for starting, and the deadline of that."""
    require_platform()
    if not timeout_s > 0:
        raise InvalidInputError(f"start_timeout_s is {timeout_s}; it must be positive")
    layout, deadline = layout_at(path), time.monotonic() + timeout_s
    prepare(layout)
    with _locked(layout, deadline):
        yield layout, deadline


@contextmanager
def _locked(layout: Layout, deadline: float) -> Iterator[None]:
    try:
        with exclusively(layout.lock, deadline):
            yield
    except TimeoutError as error:
        raise EmbeddedServerError(f"{error}; it may be starting the servers: try again, or wait longer") from error
    except OSError as error:
        raise unusable(layout, str(error)) from error


def _stop_if_last(layout: Layout) -> bool:
    try:
        with exclusively(layout.lock, time.monotonic() + _STOP_LOCK_TIMEOUT_S):
            if is_held(layout.clients) or state.load(layout).keep:
                return False
            return bool(_stop(layout))
    except TimeoutError:
        # Whoever holds the lock for so long is starting or stopping them, and sees to the rest.
        return False


def _stop(layout: Layout) -> tuple[str, ...]:
    known = guards.complete(layout, state.load(layout), NAMES)
    alive = known.alive()
    processes.stop([(record.pid, record.birth) for record in alive.values()], timeout_s=STOP_TIMEOUT_S)
    if known.keep:
        state.save(layout, replace(known, keep=False))
    return tuple(alive)
