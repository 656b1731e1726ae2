"""The directory of an embedded instance: where it is by default, and what is where in it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from langgraph_session_bridge.embedded.advice import ALTERNATIVES
from langgraph_session_bridge.embedded.ports import LOOPBACK
from langgraph_session_bridge.errors import EmbeddedServerError, InvalidInputError

REPLICA_SET = "rs0"
_NAME = "langgraph-session-bridge"
_MAX_SOCKET_PATH_BYTES = 100
"""Kernels end socket paths at 104 (macOS) or 108 (Linux) bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The files of one instance."""

    root: Path

    @property
    def lock(self) -> Path:
        """Locked exclusively by whoever starts, stops or joins."""
        return self.root / "lock"

    @property
    def clients(self) -> Path:
        """Locked shared by every client."""
        return self.root / "clients"

    @property
    def state(self) -> Path:
        """What runs, and on which port."""
        return self.root / "state.json"

    @property
    def socket(self) -> Path | None:
        """The Unix socket of the Redis-compatible server; `None` where its path would be too long."""
        path = self.root / "redis.sock"
        return path if len(os.fsencode(path)) <= _MAX_SOCKET_PATH_BYTES else None

    def files_of(self, server: str) -> Path:
        """The data of a server."""
        return self.root / server

    def log_of(self, server: str) -> Path:
        """The log of a server."""
        return self.root / f"{server}.log"

    def guard_of(self, server: str) -> Path:
        """Locked by the server process itself for as long as it lives."""
        return self.root / f"{server}.guard"

    def mongodb_uri(self, port: int) -> str:
        """Connection string for PyMongo, PyMongo async and Motor."""
        return f"mongodb://{LOOPBACK}:{port}/?replicaSet={REPLICA_SET}"

    def redis_url(self, port: int) -> str:
        """Connection string for redis-py: the socket where there is one, the port else."""
        return f"redis://{LOOPBACK}:{port}" if self.socket is None else f"unix://{quote(str(self.socket))}"


def default_directory() -> Path:
    """`$LSB_EMBEDDED_DIR`, or this user's data directory for this library."""
    if chosen := os.environ.get("LSB_EMBEDDED_DIR"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / _NAME
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / _NAME
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / _NAME


def layout_at(path: str | os.PathLike[str] | None) -> Layout:
    """The layout in this directory, or in the default one; nothing is created.

    Raises:
        InvalidInputError: `path` is a file.
        EmbeddedServerError: This user may not read it, or has no home directory, and the path needs one.
    """
    try:
        root = Path(path if path is not None else default_directory()).expanduser().absolute()
    except RuntimeError as error:
        raise EmbeddedServerError(f"{error}: pass `path` or set LSB_EMBEDDED_DIR") from error
    layout = Layout(root=root)
    try:
        exists = root.exists()
    except OSError as error:
        raise unusable(layout, error.strerror or str(error)) from error
    if exists and not root.is_dir():
        raise InvalidInputError(f"{root} is a file; embedded servers need a directory")
    if exists and not os.access(root, os.R_OK | os.X_OK):
        raise unusable(layout, "this user may not read it")
    return layout


def prepare(layout: Layout) -> None:
    """Create the directory, private to this user; one that exists keeps its mode, as it may not be ours.

    Raises:
        EmbeddedServerError: It cannot be created or written.
    """
    try:
        layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(layout, error.strerror or str(error)) from error
    if not os.access(layout.root, os.R_OK | os.W_OK | os.X_OK):
        raise unusable(layout, "this user may not write there")


def unusable(layout: Layout, reason: str) -> EmbeddedServerError:
    """The error for a directory that cannot hold an instance."""
    return EmbeddedServerError(
        f"embedded servers cannot use the directory {layout.root}: {reason}. "
        f"Pass another `path` or set LSB_EMBEDDED_DIR. {ALTERNATIVES}"
    )
