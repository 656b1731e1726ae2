"""What a session that has ended, is paused or is leased takes, from whom, and in whichever tier that is decided."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.errors import GraphDrained
from langgraph.graph import START, StateGraph
from redis import Redis

from langgraph_session_bridge import (
    InvalidInputError,
    SessionBridge,
    SessionBusyError,
    SessionConflictError,
    SessionEndedError,
    SessionFencedError,
    SessionNotFoundError,
    SessionPausedError,
)
from langgraph_session_bridge.embedded import EmbeddedServers
from langgraph_session_bridge.storage.gates import ANYBODY, Gate, Pass
from sessions.conftest import OpenBridge

_IDS = itertools.count()


@pytest.fixture(params=[True, False], ids=["both tiers", "MongoDB only"])
def journal(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def bridge(open_bridge: OpenBridge, journal: bool) -> Iterator[SessionBridge]:
    with open_bridge(journal=journal) as one:
        yield one


@pytest.fixture
def other(open_bridge: OpenBridge, journal: bool) -> Iterator[SessionBridge]:
    """Another process, as far as anything but memory goes."""
    with open_bridge(journal=journal) as one:
        yield one


def checkpoint(source: str = "loop") -> tuple[Any, Any]:
    """One to be put, and its metadata."""
    made = empty_checkpoint() | {"id": f"1f000000-{next(_IDS):04x}", "channel_values": {"n": next(_IDS)}}
    return made, {"source": source, "step": 1}


async def put(bridge: SessionBridge, config: Any, source: str = "loop") -> str:
    made, metadata = checkpoint(source)
    config = {**config, "configurable": {"checkpoint_ns": "", **config["configurable"]}}
    await bridge.saver.aput(config, made, metadata, {"n": "1"})
    return str(made["id"])


async def head(bridge: SessionBridge, session: str = "s") -> str:
    found = await bridge.saver.aget_tuple({"configurable": {"thread_id": session}})
    return "" if found is None else str(found.checkpoint["id"])


def adding(bridge: SessionBridge, *nodes: Any) -> Any:
    builder = StateGraph(dict)
    for before, (number, node) in zip([START, *map(str, range(len(nodes)))], enumerate(nodes), strict=False):
        builder.add_node(str(number), node)
        builder.add_edge(before, str(number))
    return builder.compile(checkpointer=bridge.saver)


# Ended


async def test_a_session_that_has_ended_takes_no_put_until_it_is_reopened(
    bridge: SessionBridge, other: SessionBridge
) -> None:
    await bridge.sessions.create("s")
    kept = await put(bridge, bridge.config("s"))
    assert await head(other) == kept
    await bridge.sessions.end("s")
    for each in (bridge, other):
        with pytest.raises(SessionEndedError, match="'s' has ended"):
            await put(each, each.config("s"))
        config = {"configurable": {"thread_id": "s", "checkpoint_ns": "", "checkpoint_id": kept}}
        with pytest.raises(SessionEndedError):
            await each.saver.aput_writes(config, [("n", 1)], "task")
    assert await head(other) == kept
    await other.sessions.reopen("s")
    assert await put(bridge, bridge.config("s")) == await head(other)


async def test_threads_that_are_no_sessions_take_every_put(bridge: SessionBridge) -> None:
    await bridge.sessions.create("s")
    await bridge.sessions.end("s")
    assert await put(bridge, bridge.config("a thread")) == await head(bridge, "a thread")


async def test_the_end_holds_when_redis_forgot_the_session(open_bridge: OpenBridge, servers: EmbeddedServers) -> None:
    async with open_bridge() as bridge:
        await bridge.sessions.create("s")
        await put(bridge, bridge.config("s"))
        await bridge.sessions.end("s")  # which makes the session leave Redis
        with pytest.raises(SessionEndedError):
            await put(bridge, bridge.config("s"))
        with Redis.from_url(servers.redis_url) as redis:
            hot = [key for key in redis.scan_iter("*", count=1000) if redis.type(key) == b"hash"]
            hot = [key for key in hot if redis.hexists(key, "gate")]
            assert hot, "the journal shows the gate"
            redis.delete(*hot)
        with pytest.raises(SessionEndedError):
            await put(bridge, bridge.config("s"))


async def test_a_session_that_was_deleted_may_begin_anew(bridge: SessionBridge) -> None:
    await bridge.sessions.create("s")
    await put(bridge, bridge.config("s"))
    await bridge.sessions.end("s")
    await bridge.sessions.delete("s")
    assert await head(bridge) == ""
    assert await put(bridge, bridge.config("s")) == await head(bridge)


async def test_a_graph_of_an_ended_session_says_why_it_cannot_run(bridge: SessionBridge) -> None:
    ran = []
    graph = adding(bridge, lambda state: ran.append(1) or state)
    await bridge.sessions.create("s")
    await graph.ainvoke({"n": 1}, bridge.config("s"))
    await bridge.sessions.end("s")
    for durability in ("sync", "async", "exit"):
        with pytest.raises(SessionEndedError, match="reopen"):
            await graph.ainvoke({"n": 1}, bridge.config("s"), durability=durability)


# Paused


async def test_no_run_begins_in_a_paused_session_and_one_under_way_finishes_its_step(
    bridge: SessionBridge, other: SessionBridge
) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def first(state: dict[str, Any]) -> dict[str, Any]:
        started.set()
        await go_on.wait()
        return {"n": state["n"] + 1}

    graph = adding(bridge, first, lambda state: {"n": state["n"] + 10})
    await bridge.sessions.create("s")
    run = asyncio.create_task(
        graph.ainvoke({"n": 0}, bridge.config("s"), durability="sync", control=bridge.sessions.control("s"))
    )
    await started.wait()
    await bridge.sessions._context.follower.settle("s")
    await bridge.sessions.pause("s")
    go_on.set()
    with pytest.raises(GraphDrained):
        await run
    before = await head(other)
    with pytest.raises(SessionPausedError, match="'s' is paused"):
        await adding(other, lambda state: state).ainvoke({"n": 5}, other.config("s"), durability="sync")
    assert await head(bridge) == before
    await other.sessions.resume("s")
    assert await graph.ainvoke(None, bridge.config("s")) == {"n": 11}


# Leases


async def test_while_a_lease_lasts_only_its_holder_puts(bridge: SessionBridge, other: SessionBridge) -> None:
    await bridge.sessions.create("s")
    await put(other, other.config("s"))
    async with bridge.sessions.lease("s", owner="worker-1") as lease:
        kept = await put(bridge, bridge.config(lease))
        with pytest.raises(SessionBusyError, match="leased by 'worker-1'") as busy:
            await put(other, other.config("s"))
        assert busy.value.owner == "worker-1"
        assert busy.value.until is not None
        with pytest.raises(SessionBusyError, match="worker-1"):
            await other.sessions.lease("s")
        holder = await other.sessions.holder("s")
        assert holder is not None
        assert (holder.owner, holder.fence) == ("worker-1", lease.fence)
        assert await head(other) == kept
    assert await other.sessions.holder("s") is None
    assert await put(other, other.config("s")) == await head(bridge)


async def test_a_stale_holder_is_told_and_its_put_refused(bridge: SessionBridge, other: SessionBridge) -> None:
    await bridge.sessions.create("s")
    stale = await bridge.sessions.lease("s", owner="slow", ttl_s=0.2)
    await put(bridge, bridge.config(stale))
    async with other.sessions.lease("s", owner="quick", wait_s=5) as lease:
        assert lease.fence > stale.fence
        kept = await put(other, other.config(lease))
        with pytest.raises(SessionFencedError, match="'quick' has it now"):
            await put(bridge, bridge.config(stale))
        with pytest.raises(SessionFencedError, match="'quick'"):
            await stale.renew()
        assert stale.lost
        await stale.release()
        assert await put(other, other.config(lease)) > kept
    with pytest.raises(SessionFencedError, match="nobody has it now"):
        await put(bridge, bridge.config(stale))


async def test_a_lease_that_ended_and_that_nobody_took_is_as_good_as_before(bridge: SessionBridge) -> None:
    await bridge.sessions.create("s")
    lease = await bridge.sessions.lease("s", ttl_s=0.1)
    await asyncio.sleep(0.2)  # time is the subject
    assert await put(bridge, bridge.config(lease)) == await head(bridge)
    assert await lease.renew() == lease.until


async def test_the_same_owner_takes_its_lease_again_at_once_and_shuts_out_its_former_self(
    bridge: SessionBridge, other: SessionBridge
) -> None:
    await bridge.sessions.create("s")
    former = await bridge.sessions.lease("s", owner="pod-0", ttl_s=600)
    lease = await other.sessions.lease("s", owner="pod-0", ttl_s=600)
    await put(other, other.config(lease))
    with pytest.raises(SessionFencedError):
        await put(bridge, bridge.config(former))


async def test_a_block_keeps_its_lease_for_longer_than_it_lasts(bridge: SessionBridge, other: SessionBridge) -> None:
    await bridge.sessions.create("s")
    async with bridge.sessions.lease("s", ttl_s=0.5) as lease:
        await asyncio.sleep(1.2)  # time is the subject
        with pytest.raises(SessionBusyError):
            await other.sessions.lease("s")
        assert await put(bridge, bridge.config(lease)) == await head(other)


def test_leases_are_taken_in_code_without_a_loop(bridge: SessionBridge, other: SessionBridge) -> None:
    graph = adding(bridge, lambda state: {"n": state["n"] + 1})
    bridge.sessions.create("s").result()
    with bridge.sessions.lease("s", ttl_s=5) as lease:
        assert graph.invoke({"n": 1}, bridge.config(lease)) == {"n": 2}
        with pytest.raises(SessionBusyError):
            adding(other, lambda state: state).invoke({"n": 1}, other.config("s"), durability="sync")
        stored = bridge.saver.get_tuple({"configurable": {"thread_id": "s"}})
        assert stored is not None
        assert "session_fence" not in stored.metadata
    assert other.sessions.lease("s").result().fence > lease.fence


async def test_a_lease_does_not_outlive_its_session(bridge: SessionBridge, other: SessionBridge) -> None:
    await bridge.sessions.create("s")
    lease = await bridge.sessions.lease("s")
    await put(bridge, bridge.config(lease))
    await bridge.sessions.delete("s")
    for each in (bridge, other):
        with pytest.raises(SessionFencedError):
            await put(each, each.config(lease))
    await put(other, other.config("s"))
    with pytest.raises(SessionFencedError):
        await put(bridge, bridge.config(lease))


async def test_leases_are_for_sessions_one_may_see(bridge: SessionBridge) -> None:
    await bridge.sessions.create("s", user_id="ann")
    with pytest.raises(SessionNotFoundError):
        await bridge.sessions.lease("none")
    with pytest.raises(SessionNotFoundError):
        await bridge.sessions.for_user("bob").lease("s")
    with pytest.raises(SessionNotFoundError):
        await bridge.sessions.for_user("bob").holder("s")
    with pytest.raises(InvalidInputError, match="ttl_s"):
        bridge.sessions.lease("s", ttl_s=0)
    with pytest.raises(InvalidInputError, match="session_fence"):
        await put(bridge, bridge.config("s", session_fence="7"))


async def test_of_fifty_who_want_the_lease_one_gets_it(bridge: SessionBridge) -> None:
    await bridge.sessions.create("s")
    found = await asyncio.gather(
        *[asyncio.ensure_future(_leased(bridge, f"w{number}")) for number in range(50)], return_exceptions=True
    )
    assert sum(not isinstance(each, BaseException) for each in found) == 1
    assert sum(isinstance(each, SessionBusyError) for each in found) == 49


async def _leased(bridge: SessionBridge, owner: str) -> Any:
    return await bridge.sessions.lease("s", owner=owner)


async def test_whoever_wins_a_race_of_moves_the_gate_is_as_the_session_says(
    bridge: SessionBridge, other: SessionBridge
) -> None:
    for number in range(10):
        name = f"s{number}"
        await bridge.sessions.create(name)
        await bridge.sessions.start(name)
        moves = [bridge.sessions.end(name), other.sessions.pause(name), other.sessions.update(name, title="t")]
        await asyncio.gather(*map(_awaited, moves), return_exceptions=True)
        status = (await bridge.sessions.get(name)).status
        if status == "ended":
            with pytest.raises(SessionEndedError):
                await put(bridge, bridge.config(name))
        else:
            assert status == "paused"
            with pytest.raises(SessionPausedError):
                await put(bridge, bridge.config(name), source="input")
            await put(other, other.config(name))


async def _awaited(call: Any) -> Any:
    return await call


@pytest.mark.parametrize("taken_up_by", ["open", "resume"])
async def test_a_gate_left_closed_by_who_died_is_opened_when_the_session_is_taken_up(
    bridge: SessionBridge, taken_up_by: str
) -> None:
    session = await bridge.sessions.create("s")
    await bridge.sessions._context.registry.store.bar(session.thread_id, "ended", session.rev + 1, tighten=True)
    with pytest.raises(SessionEndedError):
        await put(bridge, bridge.config("s"))
    with pytest.raises(SessionConflictError):
        await bridge.sessions.create("s")
    await getattr(bridge.sessions, taken_up_by)("s")
    assert await put(bridge, bridge.config("s")) == await head(bridge)


async def test_who_is_only_slow_closes_a_gate_that_somebody_else_set_right_meanwhile(
    bridge: SessionBridge, other: SessionBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bridge.sessions.create("s")
    with before_the(monkeypatch, bridge, "swap", lambda: other.sessions.open("s")):
        await bridge.sessions.end("s")
    with pytest.raises(SessionEndedError):
        await put(other, other.config("s"))


@contextmanager
def before_the(monkeypatch: pytest.MonkeyPatch, bridge: SessionBridge, step: str, happens: Callable[[], Any]) -> Any:
    """Another process does something right before one of this one's steps, the first time."""
    store, done = bridge.sessions._context.registry.store, []
    known = getattr(store, step)

    async def late(*args: Any, **more: Any) -> Any:
        if not done:
            done.append(1)
            await happens()
        return await known(*args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(store, step, late)
        yield


async def test_who_opens_late_does_not_open_what_ended_since(
    bridge: SessionBridge, other: SessionBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bridge.sessions.create("s")
    await bridge.sessions.end("s")
    with before_the(monkeypatch, bridge, "bar", lambda: other.sessions.end("s")):
        await bridge.sessions.reopen("s")
    assert (await bridge.sessions.get("s")).status == "ended"
    for each in (bridge, other):
        with pytest.raises(SessionEndedError):
            await put(each, each.config("s"))


async def test_who_pauses_late_does_not_loosen_what_has_ended(
    bridge: SessionBridge, other: SessionBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bridge.sessions.create("s")
    session = await bridge.sessions.start("s")
    await other.sessions.end("s")
    store = bridge.sessions._context.registry.store  # it read the session before, and is killed after this
    await store.bar(session.thread_id, "paused", session.rev + 1, tighten=True)
    with pytest.raises(SessionEndedError):
        await put(other, other.config("s"))


@pytest.mark.parametrize("step", ["bar", "swap", "era"])
async def test_who_ends_a_session_that_is_deleted_meanwhile_leaves_no_gate(
    bridge: SessionBridge, other: SessionBridge, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await bridge.sessions.create("s")
    await bridge.sessions.start("s")
    deleting = before_the(monkeypatch, bridge, step, lambda: other.sessions.delete("s"))
    with deleting, pytest.raises(SessionNotFoundError):
        await bridge.sessions.end("s")
    await other.sessions.create("s")
    assert await put(other, other.config("s")) == await head(bridge)


async def test_a_gate_that_redis_was_not_shown_before_somebody_died_is_shown_by_the_next(
    open_bridge: OpenBridge,
) -> None:
    async with open_bridge() as bridge, open_bridge() as other:
        await bridge.sessions.create("s")
        session = await bridge.sessions.start("s")
        await put(bridge, bridge.config("s"))
        archive = (await other.saver._runtime.pipeline()).archive
        await archive.set_mode("s", "paused", session.rev + 1, tighten=True)  # and it dies
        await bridge.sessions.pause("s")
        with pytest.raises(SessionPausedError):
            await put(bridge, bridge.config("s"), source="input")


async def test_what_finishes_a_deletion_leaves_the_gate_of_the_living_session(
    bridge: SessionBridge, other: SessionBridge
) -> None:
    await bridge.sessions.create("s")
    await put(bridge, bridge.config("s"))
    async with other.sessions.lease("s"):
        await bridge.sessions._context.registry.store.finish("s")
        with pytest.raises(SessionBusyError):
            await put(bridge, bridge.config("s"))


def test_gates_refuse_by_the_same_rules_in_python_and_in_lua(open_bridge: OpenBridge, servers: EmbeddedServers) -> None:
    """Every kind of gate, before every kind of put."""
    folder = resources.files("langgraph_session_bridge.storage") / "scripts"
    script = (folder / "common.lua").read_text() + "\nreturn barred(ARGV[1], ARGV[2], ARGV[3]) or {'OK'}"
    now = datetime.now(UTC)
    ends = (None, now - timedelta(minutes=1), now + timedelta(minutes=1))
    with Redis.from_url(servers.redis_url) as redis:
        for mode, fence, until, shown, begins in itertools.product(
            ("open", "paused", "ended"), (0, 7), ends, (0, 6, 7), (False, True)
        ):
            gate = Gate(version=9, mode=mode, fence=fence, owner="o w" if until else "", until=until)
            given = Pass(fence=shown, begins=begins)
            expected = gate.refuses(given, now)
            reply = redis.eval(script, 0, gate.journaled, shown, int(begins))
            assert (reply[1].decode() if len(reply) > 1 else None) == (expected.bar if expected else None), gate
    assert Gate().refuses(ANYBODY, now) is None
    assert Gate().journaled == ""


async def test_what_the_manager_itself_puts_is_under_the_lease_that_it_is_given(
    bridge: SessionBridge, other: SessionBridge
) -> None:
    graph = adding(bridge, lambda state: {"n": state["n"] + 1})
    await bridge.sessions.create("s")
    await graph.ainvoke({"n": 1}, bridge.config("s"))
    first = await head(bridge)
    await graph.ainvoke({"n": 5}, bridge.config("s"))
    async with other.sessions.lease("s") as lease:
        with pytest.raises(SessionBusyError):
            await bridge.sessions.rollback("s", checkpoint_id=first)
        await other.sessions.rollback(lease, checkpoint_id=first)
    assert (await graph.aget_state({"configurable": {"thread_id": "s"}})).values == {"n": 2}


async def test_an_imported_session_takes_what_the_original_took(bridge: SessionBridge) -> None:
    await bridge.sessions.create("s")
    await put(bridge, bridge.config("s"))
    opened = await bridge.sessions.export("s", "jsonl")
    await bridge.sessions.end("s")
    ended = await bridge.sessions.export("s", "jsonl")
    await bridge.sessions.import_(opened.splitlines(), "open")
    await bridge.sessions.import_(ended.splitlines(), "ended")
    assert await put(bridge, bridge.config("open")) == await head(bridge, "open")
    with pytest.raises(SessionEndedError):
        await put(bridge, bridge.config("ended"))
