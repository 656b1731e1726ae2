"""What each account is for: everything that its holder does with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import Result
from contract.build import at
from faults.harness import check_thread, put_step, run_steps, wait_until
from typer.testing import CliRunner

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.cli.app import app
from langgraph_session_bridge.storage.facets import Facet

from .guarded import DATABASE, GuardedServers

APPLICATION, FLUSHER, SETUP = "lsb-app", "lsb-flusher", "lsb-setup"
OpenSaver = Callable[..., SessionBridgeSaver]


def password_of(user: str) -> str:
    return f"{user.removeprefix('lsb-')}-password"


def addresses(servers: GuardedServers, user: str) -> tuple[str, str]:
    journal_user = APPLICATION if user == SETUP else user
    return (
        servers.mongodb_uri(user, password_of(user)),
        servers.redis_url(journal_user, password_of(journal_user)),
    )


def call(servers: GuardedServers, user: str, *words: str) -> Result:
    """Runs a command of `session-bridge` under an account."""
    uri, url = addresses(servers, user)
    return CliRunner().invoke(app, [*words, "--mongodb-uri", uri, "--redis-url", url])


@contextmanager
def validator(servers: GuardedServers, condition: dict[str, Any]) -> Iterator[None]:
    """MongoDB refuses what does not meet a condition."""
    servers.root_mongodb[DATABASE].command("collMod", "checkpoints", validator=condition)
    try:
        yield
    finally:
        servers.root_mongodb[DATABASE].command("collMod", "checkpoints", validator={})


def use_as_application(saver: SessionBridgeSaver, refusals: Callable[[], list[str]]) -> None:
    """Everything that an application can do; `refusals` are those that only the log tells."""
    saver.setup()
    run_steps(saver, "t", 0, 3)
    wait_until(lambda: not saver.stats().unflushed_entries or refusals(), "flushed in the background")
    run_steps(saver, "t", 3, 6)
    record(saver, "t", "a", "b")
    saver.flush()
    record(saver, "t", "b", "c")  # one again: merged
    assert recorded(saver, "t") == ["c", "b", "a"]
    put_step(saver, "t", 5)  # again: replaced
    check_thread(saver, "t", 6)
    assert saver.get_tuple(at("never put")) is None
    assert len(list(saver.list(None))) == 6
    saver.compact(["t"])
    saver.copy_thread("t", "copy")
    saver.prune(["t"])
    saver.delete_for_runs(["run"])
    saver.delete_thread("t")
    assert len(list(saver.list(at("copy")))) == 6
    assert saver.health().verdict == "ok"


def use_as_flusher(
    servers: GuardedServers, saver: SessionBridgeSaver, leave: SessionBridgeSaver, refusals: Callable[[], list[str]]
) -> None:
    """Everything that a flusher of its own meets: new, replaced and refused documents, a journal that was bypassed."""
    run_steps(leave, "t", 0, 4)
    leave.flush()
    put_step(leave, "t", 3)
    run_steps(leave, "t", 4, 6)
    record(leave, "t", "a", "b")
    run_steps(leave, "dead", 0, 2)
    saver.setup()
    with validator(servers, {"t": {"$ne": "dead"}}):
        wait_until(lambda: not saver.stats().unflushed_entries or refusals(), "flushed in the background")
    if refusals():
        return
    assert len(saver.list_dead()) == 4
    assert saver.redrive() == 4
    epoch = servers.root_mongodb[DATABASE]["meta"].find_one_and_update({"_id": "epoch"}, {"$inc": {"n": 1}})
    assert epoch is not None
    wait_until(lambda: saver.flush() or refusals() or newest_epoch(servers) > epoch["n"] + 1, "a new epoch")
    assert saver.health().verdict == "ok"


def record(saver: SessionBridgeSaver, thread: str, *names: str) -> None:
    facets = [Facet(kind="tool", id=name, name="start", rank=1, value={}) for name in names]

    async def put() -> None:
        await (await saver._runtime.pipeline()).records.put(thread, facets, "cache")

    saver._runtime.run(put(), "")


def recorded(saver: SessionBridgeSaver, thread: str) -> list[str]:
    async def find() -> list[str]:
        records = (await saver._runtime.pipeline()).records
        return [found.id async for found in records.find(thread, ["tool"])]

    return saver._runtime.run(find(), "")


def newest_epoch(servers: GuardedServers) -> int:
    return int(servers.root_redis.hget("lsb:{s000}:header", "ep") or 0)


def refusals_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [line for line in said if "is parked at" not in line and "Redis is empty" not in line]
