"""What the fault tests share: a pair of servers to kill, workers to kill, and a script of puts that can be checked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from contract.build import ABSENT, at, checkpoint, meta
from pymongo import MongoClient
from redis import Redis

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers, attach, down, status

ROUNDS = int(os.environ.get("LSB_FAULT_ROUNDS", "1"))
WORKERS = Path(__file__).with_name("workers")
PATIENT = {"connect_timeout_s": 2.0, "operation_timeout_s": 5.0, "put_timeout_s": 20.0, "drain_timeout_s": 20.0}
"""Settings under which an outage of seconds is ridden out."""
HASTY = {"connect_timeout_s": 0.5, "operation_timeout_s": 1.0, "put_timeout_s": 1.0, "drain_timeout_s": 1.0}
"""Settings under which an outage shows at once."""
NEVER = {"flush_interval_s": 3600.0, "flush_poll_s": 3600.0}
"""Settings under which nothing is flushed in the background."""


def wait_until(condition: Callable[[], Any], what: str, within_s: float = 20.0) -> None:
    """Wait for a state; `what` names it if it is not reached."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not reached within {within_s:g} s: {what}"
        time.sleep(0.01)


class Pair:
    """A mongod and a Valkey of our own, to be killed, frozen, wiped and brought back on the same data."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="lsbf", dir="/tmp"))
        self._hold: EmbeddedServers | None = None
        self.revive()

    def revive(self) -> None:
        """Both servers run, whatever happened before."""
        for name in ("mongodb", "redis"):
            self.signal(name, signal.SIGCONT)
        if self._hold is not None and status(self.path).running:
            return
        held, self._hold = self._hold, attach(self.path)
        if held is not None:
            held.detach()
        self.mongodb_uri, self.redis_url = self._hold.mongodb_uri, self._hold.redis_url

    def pid(self, name: str) -> int | None:
        return next((server.pid for server in status(self.path).servers if server.name == name), None)

    def signal(self, name: str, number: int) -> None:
        pid = self.pid(name)
        if pid is not None:
            os.kill(pid, number)

    def kill(self, name: str) -> None:
        """`kill -9`, returning when the process is gone."""
        self.signal(name, signal.SIGKILL)
        wait_until(lambda: self.pid(name) is None, f"{name} is gone")

    def files(self, name: str) -> Path:
        return next(server.files for server in status(self.path).servers if server.name == name)

    def redis(self) -> Redis:
        return Redis.from_url(self.redis_url)

    def mongo(self) -> MongoClient[dict[str, Any]]:
        return MongoClient(self.mongodb_uri, serverSelectionTimeoutMS=5000)

    def close(self) -> None:
        for name in ("mongodb", "redis"):
            self.signal(name, signal.SIGCONT)
        if self._hold is not None:
            self._hold.detach()
        down(self.path, force=True)
        shutil.rmtree(self.path, ignore_errors=True)


class Place:
    """One deployment on a pair: a database and key prefix of its own."""

    def __init__(self, pair: Pair, name: str) -> None:
        self.pair, self.name = pair, name

    def open(self, **settings: Any) -> SessionBridgeSaver:
        names = {"database": self.name, "prefix": self.name}
        return SessionBridgeSaver.from_conn_string(
            self.pair.mongodb_uri, self.pair.redis_url, **{**PATIENT, **names, **settings}
        )

    def documents(self, query: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """What MongoDB alone holds."""
        with self.pair.mongo() as client:
            return list(client[self.name]["checkpoints"].find(query or {}))

    def archived(self) -> Counter[tuple[str, str, str]]:
        """Checkpoints in MongoDB: how often by thread, namespace and id."""
        return Counter((row["t"], row["n"], row["c"]) for row in self.documents({"c": {"$exists": True}}))

    def epoch(self) -> int:
        with self.pair.mongo() as client:
            found = client[self.name]["meta"].find_one({"_id": "epoch"})
            return int(found["n"]) if found else 0

    def keys(self, pattern: str = "*") -> list[str]:
        with self.pair.redis() as client:
            return sorted(key.decode() for key in client.scan_iter(f"{self.name}:{pattern}", count=1000))

    def worker(self, script: str, *arguments: Any, **settings: Any) -> Worker:
        names = {"database": self.name, "prefix": self.name}
        address = [self.pair.mongodb_uri, self.pair.redis_url, {**PATIENT, **names, **settings}]
        return Worker(script, [*address, *arguments])


class Worker:
    """A process that prints a JSON line for everything that was acknowledged to it."""

    def __init__(self, script: str, arguments: list[Any]) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(
            [sys.executable, str(WORKERS / script), json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self.lines: list[dict[str, Any]] = []
        self._errors: list[bytes] = []
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):  # the last one may be cut by the kill
                self.lines.append(json.loads(line))

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors += self.process.stderr

    @property
    def errors(self) -> str:
        return b"".join(self._errors).decode(errors="replace")

    def wait_for(self, count: int, within_s: float = 30.0) -> None:
        def reached() -> bool:
            assert self.process.poll() is None or len(self.lines) >= count, f"worker ended early: {self.errors}"
            return len(self.lines) >= count

        wait_until(reached, f"{count} lines of the worker ({len(self.lines)} came; stderr: {self.errors})", within_s)

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()
        self.finish()

    def finish(self, within_s: float = 30.0) -> int:
        """Wait for the end of the process and of its output."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.process.wait(within_s)
        for reader in self._readers:
            reader.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code


# A script of puts whose every state follows from thread and step


def values_of(thread: str, step: int) -> dict[str, Any]:
    """A small value, a large one that never changes, one that grows, one that changes every third step."""
    return {
        "step": step,
        "constant": f"{thread} {'c' * 400}",
        "log": [entry_of(thread, n) for n in range(step + 1)],
        "third": f"{thread} {step // 3} {'t' * 300}",
    }


def entry_of(thread: str, step: int) -> str:
    return f"{thread}-{step}-{'x' * 200}"


def writes_of(thread: str, step: int) -> list[tuple[str, Any]]:
    """What the next step's log is made of, as the task of a graph would write it: stored once, in the end."""
    return [("log", [entry_of(thread, step + 1)]), ("step", step)]


def id_of(step: int) -> str:
    return f"{step:08d}"


def put_step(saver: SessionBridgeSaver, thread: str, step: int, **config: Any) -> Any:
    """The put of one step, with the parent and the versions that a graph would give."""
    made, versions = made_step(thread, step)
    parent = id_of(step - 1) if step else None
    return saver.put(at(thread, "", parent, **config), made, meta(step=step), versions)


def made_step(thread: str, step: int) -> tuple[Any, dict[str, Any]]:
    current = {"step": step, "constant": 0, "log": step, "third": step // 3}
    versions = {channel: f"{number + 1:032}.0" for channel, number in current.items()}
    new = {
        channel: version
        for channel, version in versions.items()
        if step == 0 or (current[channel] == step and channel != "third") or (channel == "third" and step % 3 == 0)
    }
    return checkpoint(values_of(thread, step), versions, id=id_of(step)), new


def put_step_writes(saver: SessionBridgeSaver, thread: str, step: int, **config: Any) -> None:
    saver.put_writes(at(thread, "", id_of(step), **config), writes_of(thread, step), f"task-{step}")


def run_steps(saver: SessionBridgeSaver, thread: str, start: int, end: int, **config: Any) -> None:
    for step in range(start, end):
        put_step(saver, thread, step, **config)
        put_step_writes(saver, thread, step, **config)


def check_step(saver: SessionBridgeSaver, thread: str, step: int, *, writes: bool = True) -> None:
    """The checkpoint is there and whole."""
    found = saver.get_tuple(at(thread, "", id_of(step)))
    assert found is not None, f"checkpoint {step} of {thread} is lost"
    check_tuple(found, thread, step, writes=writes)


def check_tuple(found: Any, thread: str, step: int, *, writes: bool = True) -> None:
    assert found.checkpoint["id"] == id_of(step), f"{thread}: got {found.checkpoint['id']}, wanted step {step}"
    assert found.checkpoint["channel_values"] == values_of(thread, step)
    assert found.metadata["step"] == step
    parent = found.parent_config and found.parent_config["configurable"]["checkpoint_id"]
    assert parent == (id_of(step - 1) if step else None)
    expected = [(f"task-{step}", *write) for write in writes_of(thread, step)]
    assert found.pending_writes == expected or (not writes and not found.pending_writes), f"writes of {thread} {step}"


def check_head(saver: SessionBridgeSaver, thread: str, step: int, *, writes: bool = True) -> None:
    found = saver.get_tuple(at(thread))
    assert found is not None, f"thread {thread} is lost"
    check_tuple(found, thread, step, writes=writes)


def check_thread(saver: SessionBridgeSaver, thread: str, steps: int, *, last_writes: bool = True) -> None:
    """Head and every ancestor by `get_tuple`, and the same by `list`."""
    check_head(saver, thread, steps - 1, writes=last_writes)
    for step in range(steps):
        check_step(saver, thread, step, writes=last_writes or step < steps - 1)
    listed = list(saver.list(at(thread, ABSENT)))
    assert [found.metadata["step"] for found in listed] == list(range(steps))[::-1]
    for found in listed:
        step = found.metadata["step"]
        check_tuple(found, thread, step, writes=last_writes or step < steps - 1)


def acknowledged(lines: Iterable[Mapping[str, Any]]) -> tuple[dict[str, int], dict[str, int]]:
    """Highest acknowledged step by thread: of checkpoints, and of pending writes."""
    puts: dict[str, int] = {}
    writes: dict[str, int] = {}
    for line in lines:
        if "step" in line:
            kind = writes if line["kind"] == "w" else puts
            kind[line["thread"]] = max(kind.get(line["thread"], -1), line["step"])
    return puts, writes


def check_acknowledged(saver: SessionBridgeSaver, lines: Iterable[Mapping[str, Any]]) -> int:
    """Nothing acknowledged is lost, the head is not older than it, and no checkpoint is half there."""
    puts, writes = acknowledged(lines)
    for thread, last in puts.items():
        found = saver.get_tuple(at(thread))
        assert found is not None, f"thread {thread} is lost, {last + 1} puts of it were acknowledged"
        head = found.metadata["step"]
        assert head in (last, last + 1), f"head of {thread} is {head}, acknowledged was {last}"
        for step in range(head + 1):
            check_step(saver, thread, step, writes=step <= writes.get(thread, -1))
    return sum(last + 1 for last in puts.values()) + sum(last + 1 for last in writes.values())
