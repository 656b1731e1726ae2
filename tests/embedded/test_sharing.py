"""One pair of servers for all clients of a directory, from the first to the last."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis.asyncio
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

from langgraph_session_bridge.embedded import EmbeddedServers, attach, down, status, up
from langgraph_session_bridge.embedded.processes import birth_of

from .conftest import StartClient, environment, mongo_client, pids, servers_in

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def test_racing_processes_share_exactly_one_instance(home: Path, start_client: StartClient) -> None:
    clients = [start_client() for _ in range(4)]
    answers = [client.answer() for client in clients]
    assert len({(mongodb, redis_url) for mongodb, redis_url, _ in answers}) == 1
    assert sorted(started for _, _, started in answers) == [[], [], [], ["mongodb", "redis"]]
    if sys.platform == "linux":
        assert len(servers_in(home)) == 2
        assert status(home).clients == 4
    assert [client.detach() for client in clients] == [False, False, False, True]


def test_joined_client_sees_what_the_starter_wrote(home: Path, start_client: StartClient) -> None:
    mongodb_uri, redis_url, _ = start_client().answer()
    with mongo_client(mongodb_uri) as mongo, redis.Redis.from_url(redis_url) as journal:
        mongo.lab.notes.insert_one({"_id": "a", "text": "kept"})
        journal.set("a", "journal")
    with attach(home) as joined:
        assert joined.started == ()
        with mongo_client(joined.mongodb_uri) as mongo, redis.Redis.from_url(joined.redis_url) as journal:
            assert mongo.lab.notes.find_one({"_id": "a"}) == {"_id": "a", "text": "kept"}
            assert journal.get("a") == b"journal"


async def test_uris_serve_pymongo_async_motor_and_redis_asyncio(home: Path) -> None:
    servers = await asyncio.to_thread(attach, home)
    mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(servers.mongodb_uri)
    motor: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(servers.mongodb_uri)
    journal = redis.asyncio.Redis.from_url(servers.redis_url)
    await mongo.lab.notes.insert_one({"_id": "a"})
    assert await motor.lab.notes.find_one({"_id": "a"}) == {"_id": "a"}
    assert await journal.set("a", "1")
    await mongo.close()
    motor.close()
    await journal.aclose()
    assert await asyncio.to_thread(servers.detach)


def test_attachments_of_one_process_count_one_by_one_and_the_last_stops(home: Path) -> None:
    first, second = attach(home), attach(home)
    assert (first.started, second.started) == (("mongodb", "redis"), ())
    processes = pids(status(home))
    assert not first.detach()
    assert pids(status(home)) == processes
    assert not first.detach(), "a second detach of the same client must not count as the last one"
    assert second.detach()
    assert not second.detach()
    assert not status(home).running


@linux_only
def test_stop_leaves_no_process(home: Path) -> None:
    with attach(home):
        assert len(servers_in(home)) == 2
    assert servers_in(home) == []


def test_killed_client_does_not_block_the_last_one(home: Path, start_client: StartClient) -> None:
    doomed = start_client()
    doomed.answer()
    with_us = attach(home)
    doomed.kill()
    assert with_us.detach()


def test_servers_of_a_killed_only_client_are_joined_and_then_stopped(home: Path, start_client: StartClient) -> None:
    doomed = start_client()
    doomed.answer()
    doomed.kill()
    after = attach(home)
    assert after.started == ()
    assert after.detach()


def test_threads_of_one_process_may_race(home: Path) -> None:
    attached: list[EmbeddedServers] = []
    threads = [Thread(target=lambda: attached.append(attach(home))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(len(servers.started) for servers in attached) == [0, 0, 0, 2]
    assert [servers.detach() for servers in attached] == [False, False, False, True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_child_stays_attached_until_it_ends(home: Path) -> None:
    servers = attach(home)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    assert not servers.detach(), "the child still uses the servers"
    assert status(home).running
    os.close(writing)
    os.waitpid(child, 0)
    os.close(reading)
    last = attach(home)
    assert last.started == ()
    assert last.detach()


def test_process_that_forgets_to_detach_stops_the_servers_at_its_exit(home: Path) -> None:
    program = "import sys; from langgraph_session_bridge.embedded import attach; attach(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, home], env=environment(), check=True, timeout=60)
    assert {server.running for server in status(home).servers} == {False}


def test_servers_of_a_removed_directory_are_stopped(home: Path) -> None:
    servers = attach(home / "removed")
    processes = pids(status(home / "removed"))
    shutil.rmtree(home / "removed", ignore_errors=True)
    assert servers.detach()
    assert not any(birth_of(pid) for pid in processes)


def test_servers_are_stopped_that_keep_a_part_of_their_removed_directory(home: Path) -> None:
    """They write on while it is being removed, so that it is not empty in the end."""
    servers = attach(home)
    processes = pids(status(home))
    for entry in home.iterdir():
        if entry.name != "mongodb":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    assert servers.detach()
    assert not any(birth_of(pid) for pid in processes)


def test_up_survives_the_last_client_and_down_stops(home: Path) -> None:
    state = up(home)
    assert state.running and state.kept
    client = attach(home)
    assert (client.started, client.mongodb_uri, client.redis_url) == ((), state.mongodb_uri, state.redis_url)
    refused = down(home)
    assert (refused.refused, refused.stopped) == (True, ())
    assert not client.detach()
    assert pids(status(home)) == pids(state)
    report = down(home)
    assert (report.refused, sorted(report.stopped)) == (False, ["mongodb", "redis"])
    assert not status(home).running
    assert down(home).stopped == ()


def test_forced_down_stops_under_a_client(home: Path) -> None:
    client = attach(home)
    assert sorted(down(home, force=True).stopped) == ["mongodb", "redis"]
    assert not client.detach()


def test_servers_are_in_their_own_session_and_their_files_are_private(home: Path) -> None:
    inside = home / "new"
    with attach(inside):
        assert all(os.getsid(pid) == pid for pid in pids(status(inside)))
        assert stat.S_IMODE(inside.stat().st_mode) == 0o700
        assert [path for path in inside.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_path_too_long_for_a_socket_is_served_over_tcp() -> None:
    folder = Path(tempfile.mkdtemp(prefix="lsb", dir="/tmp"))
    home = folder / ("a long name with spaces " * 4).strip()
    try:
        with attach(home) as servers:
            assert servers.redis_url.startswith("redis://127.0.0.1:")
            with redis.Redis.from_url(servers.redis_url) as journal:
                assert journal.ping()
    finally:
        down(home, force=True)
        shutil.rmtree(folder)
