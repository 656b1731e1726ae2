"""A process is killed while it branches a session: the branch is there as a whole, or there is nothing of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from graphs import builders
from pymongo import MongoClient

from langgraph_session_bridge import SessionBridge, SessionNotFoundError, UnavailableError

from .harness import PATIENT, ROUNDS, Pair, Place, Worker
from .tally import count

TURNS, AT = 12, 8
STEPS = ("documents", "records", "session", "end", "")
StartWorker = Callable[..., Worker]
OpenBridge = Callable[..., SessionBridge]


@pytest.fixture
def open_bridge(place: Place, pair: Pair) -> Iterator[OpenBridge]:
    with ExitStack() as opened:

        def open_one() -> SessionBridge:
            names = {"database": place.name, "prefix": place.name, **PATIENT}
            return opened.enter_context(SessionBridge.from_conn_string(pair.mongodb_uri, pair.redis_url, **names))

        yield open_one


def at(name: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": name}}


async def held(bridge: SessionBridge, name: str) -> list[Any]:
    return [(s.checkpoint, s.metadata, s.pending_writes) async for s in bridge.saver.alist(at(name))]


def unborn(pair: Pair, place: Place, name: str) -> int:
    """How many documents of a thread no reader sees."""
    with MongoClient(pair.mongodb_uri) as client:
        database = client[place.name]
        living = (database["threads"].find_one({"t": name}) or {}).get("g", 0)
        rows = database["checkpoints"].find({"t": name}, {"_id": 1})
        return sum(int(row["_id"].split("/")[1], 16) != living for row in rows)


def let_claims_end(pair: Pair, place: Place) -> None:
    """As if the time of a branch had passed."""
    with MongoClient(pair.mongodb_uri) as client:
        past = datetime.now(UTC) - timedelta(seconds=1)
        client[place.name]["threads"].update_many({"busy": {"$exists": True}}, {"$set": {"busy": past}})


@pytest.mark.parametrize("kill_number", range(3 if ROUNDS == 1 else ROUNDS))
async def test_a_branch_is_whole_or_not_there(
    open_bridge: OpenBridge, start_worker: StartWorker, pair: Pair, place: Place, kill_number: int
) -> None:
    bridge = open_bridge()
    graph = builders.chat(bridge.saver)
    await bridge.sessions.create("s")
    for turn in range(TURNS):
        await graph.ainvoke({"messages": [("human", f"turn {turn}")]}, bridge.config("s"))
    await bridge.sessions.branch("s", turn=AT, session_id="reference")
    whole = await held(bridge, "reference")
    chance = random.Random(kill_number)
    worker = start_worker("branching.py", AT)
    worker.wait_for(chance.randint(2, 15))
    step = STEPS[kill_number % len(STEPS)]
    lines = len(worker.lines)
    while step and {"reached": step} not in worker.lines[lines:]:
        worker.wait_for(len(worker.lines) + 1)
    worker.kill()
    begun = [line["begins"] for line in worker.lines if "begins" in line]
    made = {line["made"] for line in worker.lines if "made" in line}
    left = 0
    for name in begun:
        found = await held(bridge, name)
        assert found in ([], whole), f"{name}: {len(found)} of {len(whole)} checkpoints"
        try:
            session = await bridge.sessions.get(name)
            assert found == whole and session.parent is not None
        except SessionNotFoundError:
            assert found == [] and name not in made
            left += unborn(pair, place, name) > 0
    assert {s.session_id async for s in bridge.sessions.search()} >= made
    last = begun[-1]
    if last not in made and not await held(bridge, last):
        if left:
            with pytest.raises(UnavailableError, match="another id"):
                await bridge.sessions.branch("s", turn=1, session_id=last)
        let_claims_end(pair, place)
        if left and chance.random() < 0.5:
            assert (await bridge.saver.asweep(dry_run=True)).documents > 0
            assert (await bridge.saver.asweep(grace_s=0)).documents > 0
            assert unborn(pair, place, last) == 0
        await bridge.sessions.branch("s", turn=1, session_id=last)
        assert len(await held(bridge, last)) == 3 and unborn(pair, place, last) == 0
    count("branches", kills=1, cut_off=int(left), made=len(made))
