"""A condenser is killed anywhere between archiving and trimming: no message is missing, and none is there twice."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from condense.scripted import ScriptedModel
from langchain_core.messages import BaseMessage
from promises.condense.dialogues import built, dumped, script, talk, thread

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.summarizing import Summarizing

from .harness import HASTY, PATIENT, ROUNDS, Pair, Place, Worker, wait_until
from .tally import count

SESSIONS = ["node sync", "node async", "summaries sync", "guard sync", "guard async"]
StartWorker = Callable[..., Worker]
OpenBridge = Callable[..., SessionBridge]


@pytest.fixture
def open_bridge(place: Place, pair: Pair) -> Iterator[OpenBridge]:
    with ExitStack() as opened:

        def open_one(**settings: Any) -> SessionBridge:
            names = {"database": place.name, "prefix": place.name, **PATIENT, **settings}
            return opened.enter_context(SessionBridge.from_conn_string(pair.mongodb_uri, pair.redis_url, **names))

        yield open_one


def graph_of(bridge: SessionBridge, session: str) -> Any:
    """The worker's graph of a session."""
    way, _ = session.split()
    strategy = Summarizing(ScriptedModel(replies=["About order 4711."])) if way == "summaries" else None
    condenser = Condenser(strategy, trigger=("messages", 12), keep=("messages", 6), archive=bridge.archive)
    if way == "guard":
        bridge.guard(condenser)
    return built(bridge.saver, None if way == "guard" else condenser)


def turns_of(worker: Worker, session: str) -> int:
    """How many turns were acknowledged."""
    return sum(line["session"] == session and "turn" in line for line in worker.lines)


def questions(messages: list[BaseMessage]) -> int:
    return sum(message.type == "human" for message in messages)


async def between(bridge: SessionBridge, session: str) -> bool:
    """Whether the newest condensation is archived and the state is not trimmed yet."""
    newest = next(iter(await bridge.archive.condensations(session)), None)
    held = {message.id for message in await bridge.messages(session, view="model")}
    return newest is not None and not held.isdisjoint(newest.removed)


@pytest.mark.parametrize("kill_number", range(2 if ROUNDS == 1 else ROUNDS))
async def test_nothing_is_missing_and_nothing_doubled(
    open_bridge: OpenBridge, start_worker: StartWorker, kill_number: int
) -> None:
    chance = random.Random(kill_number)
    worker = start_worker("condensing.py", SESSIONS)
    worker.wait_for(chance.randint(50, 120))
    if chance.random() < 0.5:  # while something is archived and not trimmed yet
        lines = len(worker.lines)
        while "archived" not in (worker.lines[-1] if len(worker.lines) > lines else {}):
            worker.wait_for(lines + 1)
    else:
        worker.wait_for(len(worker.lines) + chance.randint(0, 9))
    worker.kill()
    caught, resumed, messages = 0, 0, 0
    bridges = {guarded: open_bridge() for guarded in (False, True)}
    for session in SESSIONS:
        bridge = bridges[session.startswith("guard")]
        graph, done = graph_of(bridge, session), turns_of(worker, session)
        caught += await between(bridge, session)
        found = await bridge.messages(session)
        assert questions(found) in (done, done + 1), f"{session}: acknowledged {done}"
        whole = script(range(questions(found)))
        assert dumped(found) == dumped(whole[: len(found)]), f"{session}: before it went on"
        if (await graph.aget_state(thread(session))).tasks:  # `next` leaves out those whose writes are stored
            resumed += 1
            await graph.ainvoke(None, thread(session))
        if questions(await bridge.messages(session)) == done:
            await talk(graph, [done], config=thread(session))
        await talk(graph, range(done + 1, done + 4), config=thread(session))
        whole = script(range(done + 4))
        found = await bridge.messages(session)
        assert dumped(found) == dumped(whole), f"{session}: after it went on"
        assert len(await bridge.messages(session, view="model")) < 20
        messages += len(found)
    row = "condenser: kill -9 around archive and trim"
    count(row, archived_not_trimmed=caught, resumed=resumed, messages=messages, missing=0, doubled=0)


async def test_the_check_sees_a_trim_before_the_archive(open_bridge: OpenBridge, start_worker: StartWorker) -> None:
    """The control: the same kill, with an archive that is told of a condensation and stores it with the next one."""
    worker = start_worker("condensing.py", SESSIONS, "later")
    wait_until(lambda: min(turns_of(worker, session) for session in SESSIONS) >= 8, "every session went on for a while")
    worker.kill()
    bridge, seen = open_bridge(), 0
    for session in SESSIONS:
        found = await bridge.messages(session)
        missing = {m.id for m in script(range(turns_of(worker, session)))} - {m.id for m in found}
        seen += bool(missing)
    assert seen >= 3, "but for those that were killed before they trimmed"


async def test_nothing_is_trimmed_while_mongodb_is_frozen(open_bridge: OpenBridge, pair: Pair) -> None:
    """The archive waits for MongoDB, checkpoints do not: the chat goes on whole, and is trimmed later."""
    bridge = open_bridge(**HASTY, ack="cache")
    graph = graph_of(bridge, "node async")
    await talk(graph, range(3))
    pair.signal("mongodb", signal.SIGSTOP)
    await talk(graph, range(3, 6))
    assert dumped(await bridge.messages("t", view="model")) == dumped(script(range(6)))
    pair.signal("mongodb", signal.SIGCONT)
    await talk(graph, range(6, 9))
    assert len(await bridge.messages("t", view="model")) < 16
    assert dumped(await bridge.messages("t")) == dumped(script(range(9)))
