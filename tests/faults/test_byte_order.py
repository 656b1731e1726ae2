"""Ids are ordered by their bytes in every tier, whatever the locale of the server is."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract.build import at, checkpoint, meta
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.embedded import find_redis_server

from .harness import HASTY, NEVER, Pair, Place, wait_until

ORDERED = ["-1", "B", "_", "a", "a-b", "aB", "a_b", "ab", "b", "z", "Ä", "ä", "é", "\U0001f600"]


def locales() -> list[str]:
    found = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
    return [name for name in found if name not in ("C", "POSIX") and not name.startswith("C.")]


@pytest.fixture(params=["C", "another"])
def redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server of its own, under a locale."""
    if request.param == "another" and not locales():
        pytest.skip("this system has no locale but C")
    name = "C" if request.param == "C" else locales()[0]
    with tempfile.TemporaryDirectory(prefix="lsbl", dir="/tmp") as folder, socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        s.close()
        command = [str(find_redis_server().path), "--port", str(port), "--dir", folder, "--appendonly", "yes"]
        environment = {**os.environ, "LC_ALL": name}
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, cwd=Path(folder)) as server:
            with Redis(port=port) as client:
                wait_until(lambda: answers(client), "the server answers")
            yield f"redis://127.0.0.1:{port}"
            server.kill()


def answers(client: Any) -> bool:
    try:
        return bool(client.ping())
    except RedisConnectionError:
        return False


@pytest.mark.parametrize("order", [1, -1], ids=["ascending", "descending"])
def test_the_head_is_the_highest_id_in_bytes(pair: Pair, place: Place, redis_url: str, order: int) -> None:
    assert sorted(ORDERED) == ORDERED
    saver = SessionBridgeSaver.from_conn_string(
        pair.mongodb_uri, redis_url, database=place.name, prefix=place.name, ack="cache", **{**HASTY, **NEVER}
    )
    with saver:
        for number, name in enumerate(ORDERED[::order]):
            saver.put(at("t"), checkpoint({"n": name}, {"n": 1}, id=name), meta(), {"n": 1})
            found = saver.get_tuple(at("t"))
            assert found is not None
            assert found.checkpoint["id"] == (name if order == 1 else ORDERED[-1]), f"after {number} puts"
        assert [found.checkpoint["id"] for found in saver.list(at("t"))] == ORDERED[::-1]
        found = saver.get_tuple(at("t"))
        assert found is not None and found.checkpoint["id"] == ORDERED[-1]
