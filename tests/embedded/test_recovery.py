"""What was acknowledged is still there after crashes and stops; what the state file says is checked."""

from __future__ import annotations

import errno
import json
import os
import socket
import socketserver
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
import redis
from pymongo import WriteConcern

from langgraph_session_bridge.embedded import attach, down, guards, starting, status
from langgraph_session_bridge.embedded import processes as processes_module
from langgraph_session_bridge.embedded.locks import open_lock_file, try_lock, unlock
from langgraph_session_bridge.embedded.ports import free_port
from langgraph_session_bridge.errors import EmbeddedServerError

from .conftest import StartClient, kill_servers, mongo_client, pids, servers_in, wait_until


def write(mongodb_uri: str, redis_url: str, key: str) -> None:
    """Write one thing to each server, acknowledged at the level that must survive."""
    with mongo_client(mongodb_uri) as mongo, redis.Redis.from_url(redis_url) as journal:
        notes = mongo.lab.get_collection("notes", write_concern=WriteConcern("majority"))
        notes.insert_one({"_id": key})
        journal.set(key, "1")


def holds(mongodb_uri: str, redis_url: str, key: str) -> bool:
    """Whether both servers have it."""
    with mongo_client(mongodb_uri) as mongo, redis.Redis.from_url(redis_url) as journal:
        return mongo.lab.notes.find_one({"_id": key}) is not None and journal.get(key) == b"1"


@contextmanager
def stranger(port: int) -> Iterator[None]:
    """Some other program on a port, which hangs up on everybody; it waits for one that is there already to leave."""

    servers: list[_Stranger] = []

    def binds() -> bool:
        try:
            servers.append(_Stranger(("127.0.0.1", port), socketserver.BaseRequestHandler))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:  # which the kernel may have lent to an outgoing connection
                raise
        return bool(servers)

    wait_until(binds)
    with servers[0] as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield
        server.shutdown()
        thread.join()


class _Stranger(socketserver.TCPServer):
    allow_reuse_address = True


def test_acknowledged_writes_survive_kill_of_both_servers(home: Path) -> None:
    before = attach(home)
    write(before.mongodb_uri, before.redis_url, "a")
    kill_servers(home)
    with attach(home) as after:
        assert after.started == ("mongodb", "redis")
        assert holds(after.mongodb_uri, after.redis_url, "a")
        assert not before.detach(), "the crash did not detach the other client"
        assert holds(after.mongodb_uri, after.redis_url, "a")


def test_data_survives_a_clean_stop(home: Path) -> None:
    with attach(home) as before:
        write(before.mongodb_uri, before.redis_url, "a")
    with attach(home) as after:
        assert after.started == ("mongodb", "redis")
        assert holds(after.mongodb_uri, after.redis_url, "a")


def test_replica_set_follows_when_its_port_is_taken_meanwhile(home: Path) -> None:
    with attach(home) as before:
        write(before.mongodb_uri, before.redis_url, "a")
    former = next(server.port for server in status(home).servers if server.name == "mongodb")
    with stranger(former), attach(home) as after:
        assert after.mongodb_uri != before.mongodb_uri
        assert holds(after.mongodb_uri, after.redis_url, "a")


def test_server_whose_free_port_is_snatched_gets_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as snatcher:
        snatched = snatcher.getsockname()[1]
        ports = [snatched, snatched]

        def choose(preferred: int | None = None) -> int:
            return ports.pop() if ports else free_port(preferred)

        monkeypatch.setattr(starting, "free_port", choose)
        with attach(home) as servers:
            assert str(snatched) not in servers.mongodb_uri
            assert ports == []
            write(servers.mongodb_uri, servers.redis_url, "a")


def test_one_dead_server_is_started_and_the_other_kept(home: Path) -> None:
    with attach(home) as first:
        write(first.mongodb_uri, first.redis_url, "a")
        kept, doomed = pids(status(home))
        os.kill(doomed, 9)
        wait_until(lambda: pids(status(home)) == [kept])
        with attach(home) as second:
            assert second.started == ("redis",)
            assert pids(status(home))[0] == kept
            assert holds(second.mongodb_uri, second.redis_url, "a")


def test_state_of_dead_or_recycled_processes_is_ignored(home: Path) -> None:
    stale = {"birth": "another process", "port": 0, "binary": "x", "version": "0", "ready": True}
    # The first id is alive but was born at another time; the second cannot exist.
    servers = {"mongodb": {"pid": os.getpid(), **stale}, "redis": {"pid": 2**22 + 1, **stale}}
    (home / "state.json").write_text(json.dumps({"servers": servers, "keep": True}))
    assert not status(home).running
    client = attach(home)
    assert client.started == ("mongodb", "redis")
    assert os.getpid() not in pids(status(home))
    assert client.detach(), "the wish of an `up` from before a reboot must not keep servers"


def test_servers_that_the_state_lost_are_adopted(home: Path) -> None:
    client = attach(home)
    processes = pids(status(home))
    (home / "state.json").write_text("{")
    with attach(home) as second:
        assert (second.started, second.redis_url) == ((), client.redis_url)
        assert pids(status(home)) == processes
    (home / "state.json").unlink()
    assert client.detach(), "the last one stops them even so"
    assert not any(processes_module.birth_of(pid) for pid in processes)


def test_data_in_use_by_an_unknown_server_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "_GUARD_WAIT_S", 0.05)
    monkeypatch.setattr(guards, "_ANNOUNCE_WAIT_S", 0.05)
    guard = open_lock_file(home / "redis.guard")
    # As seen from another container: the id is that of a process which does not hold the guard.
    os.write(guard, b'{"port": 1, "binary": "x", "version": "0"}\n%d\n' % os.getppid())
    assert try_lock(guard)
    with pytest.raises(EmbeddedServerError, match="does not know still uses"):
        attach(home)
    assert down(home, force=True).stopped == ()
    unlock(guard)
    with attach(home) as servers:
        assert servers.started == ("mongodb", "redis")


@pytest.mark.parametrize("trace", ["state.json", "redis.guard"])
def test_what_a_killed_starter_left_is_adopted(home: Path, start_client: StartClient, trace: str) -> None:
    starter = start_client()
    wait_until((home / trace).exists)
    starter.kill()
    with attach(home) as servers:
        assert sys.platform != "linux" or len(servers_in(home)) == 2
        write(servers.mongodb_uri, servers.redis_url, "a")
        assert holds(servers.mongodb_uri, servers.redis_url, "a")
    assert sys.platform != "linux" or servers_in(home) == []
