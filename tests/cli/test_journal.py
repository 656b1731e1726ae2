"""`stats`, `drain`, `flusher` and `dead`: an operator sees and moves what is unflushed, without an application."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from contract.build import at, checkpoint, meta
from pymongo import MongoClient

from cli.calling import Run
from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.embedded import EmbeddedServers

LAZY = {"flush_interval_s": 3600.0, "flush_poll_s": 3600.0}
Leave = Callable[..., SessionBridgeSaver]


@pytest.fixture
def leave(servers: EmbeddedServers, store: str) -> Iterator[Callable[..., SessionBridgeSaver]]:
    """Puts to threads with savers that flush nothing by themselves, and are closed in the end."""
    opened: list[SessionBridgeSaver] = []

    def left_behind(*threads: str) -> SessionBridgeSaver:
        saver = SessionBridgeSaver.from_conn_string(
            servers.mongodb_uri, servers.redis_url, database=store, prefix=store, **LAZY
        )
        opened.append(saver)
        for thread in threads:
            saver.put(at(thread), checkpoint({"x": 1}, {"x": 1}), meta(), {"x": 1})
        return saver

    yield left_behind
    for saver in opened:
        saver.close()


def refuse(servers: EmbeddedServers, store: str, validator: dict[str, Any]) -> None:
    with MongoClient(servers.mongodb_uri) as client:
        client[store].command("collMod", "checkpoints", validator=validator)


def test_drain_flushes_what_a_process_left(run: Run, leave: Leave) -> None:
    leave("a", "b")
    drained = run("drain", "--json")
    assert (drained.code, drained.json["ok"], drained.json["unflushed_entries"]) == (0, True, 0)
    assert "unflushed     0 entries" in run("stats").out


def test_looking_moves_nothing(run: Run, leave: Leave) -> None:
    saver = leave("a", "b")
    for command in (["health"], ["stats"], ["dead", "list"]):
        assert run(*command).code == 0
    assert run("stats", "--json").json["unflushed_entries"] == 2
    assert run("health", "--json").json["unflushed_entries"] == 2
    assert saver.stats().unflushed_entries == 2


def test_a_flusher_of_its_own_empties_the_journal_and_ends_in_peace(run: Run, leave: Leave) -> None:
    saver = leave("a", "b", "c")

    def end_it() -> None:
        deadline = time.monotonic() + 20
        while saver.stats().unflushed_entries and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    ending = threading.Thread(target=end_it)
    assert saver.stats().unflushed_entries == 3
    ending.start()
    ended = run("flusher", "--for", "30", "--json")
    ending.join()
    assert (ended.code, ended.json["unflushed_entries"], ended.json["dead_letters"]) == (0, 0, 0)


def test_dead_letters_are_listed_redriven_and_discarded(
    run: Run, leave: Leave, servers: EmbeddedServers, store: str
) -> None:
    leave("a")
    assert (run("dead", "list").code, run("dead", "list").out) == (0, "no dead letters\n")
    refuse(servers, store, {"t": {"$nin": ["p", "q"]}})
    leave("p", "q")
    assert run("drain").code == 1
    listed = run("dead", "list", "--json")
    assert (listed.code, {row["thread_id"] for row in listed.json["dead_letters"]}) == (1, {"p", "q"})
    assert "validation" in run("dead", "list", "p").out
    assert run("dead", "redrive", "p").code == 1
    assert run("dead", "discard", "q", "--json").json == {"ok": True, "discarded": 1}
    refuse(servers, store, {})
    assert run("dead", "redrive", "--json").json["redriven"] == 1
    assert run("stats").code == 0


def test_sweep_counts_and_removes_what_is_left_over(
    run: Run, leave: Leave, servers: EmbeddedServers, store: str
) -> None:
    saver = leave("a", "b")
    saver.flush()
    with MongoClient(servers.mongodb_uri) as client:
        collection = client[store]["checkpoints"]
        late = list(collection.find({"t": "a"}))
        saver.delete_thread("a")
        collection.insert_many(late)
    assert f"would remove {len(late)} documents of 1 threads" in run("sweep", "--dry-run").out
    swept = run("sweep", "--grace", "0", "--json")
    assert (swept.code, swept.json["documents"], swept.json["skipped"]) == (0, len(late), [])
    assert run("sweep", "b", "--grace", "0", "--json").json["documents"] == 0
