"""A Valkey whose host can lose power: what was not fsynced is gone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from langgraph_session_bridge.embedded import find_redis_server

from .harness import wait_until

SOURCE = Path(__file__).with_name("fsyncshim.c")
COMPILER = shutil.which("cc") or shutil.which("gcc")


def compile_shim(folder: Path) -> Path:
    assert COMPILER is not None
    library = folder / "fsyncshim.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
    return library


class PoweredRedis:
    """A server of its own on a port that stays its own, with every completed fsync on record."""

    def __init__(self, *, appendfsync: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="lsbp", dir="/tmp"))
        self._shim = compile_shim(self.path)
        self._appendfsync = appendfsync
        self._log = self.path / "fsyncs"
        self.files = self.path / "data"
        self.files.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._log.unlink(missing_ok=True)
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.files,
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "auto-aof-rewrite-percentage": 0,
            "save": "",
        }
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [str(find_redis_server().path), *words],
            env={**os.environ, "LD_PRELOAD": str(self._shim), "FSYNC_LOG": str(self._log)},
            stdout=(self.path / "log").open("ab"),
            stderr=subprocess.STDOUT,
        )
        wait_until(self.answers, "the server answers")

    def answers(self) -> bool:
        with Redis(port=self.port) as client:
            try:
                return bool(client.ping())
            except RedisConnectionError:  # also while it loads its data
                return False

    def lose_power(self) -> int:
        """`kill -9`, and nothing is in the log but what a completed fsync covered; returns how many bytes that took."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        synced = self._synced()
        taken = 0
        for file in self.files.glob("appendonlydir/*.incr.aof"):
            size, kept = file.stat().st_size, synced.get(str(file), 0)
            os.truncate(file, min(size, kept))
            taken += max(0, size - kept)
        return taken

    def _synced(self) -> dict[str, int]:
        """The largest size that a completed fsync covered, by path (nothing here makes a log shorter)."""
        largest: dict[str, int] = {}
        for line in self._log.read_text().splitlines() if self._log.exists() else ():
            size, _, path = line.partition(" ")
            largest[path] = max(int(size), largest.get(path, 0))
        return largest

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.path, ignore_errors=True)
