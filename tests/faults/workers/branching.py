"""Branches a session again and again, until it is killed; says how far it is, and waits a moment each time.

With `plain` as the last argument branches are made as a naive copy would: documents appear one after the other.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from itertools import count
from typing import Any

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.checkpoint import branching
from langgraph_session_bridge.storage.pipeline import Pipeline

mongodb_uri, redis_url, settings, turn, *broken = json.loads(sys.argv[1])


def say(**told: object) -> None:
    print(json.dumps(told), flush=True)


def told(step: str, work: Any) -> Any:
    async def done(*arguments: Any, **named: Any) -> Any:
        result = await work(*arguments, **named)
        say(reached=step)
        await asyncio.sleep(random.random() * 0.02)
        return result

    return done


copied = branching.copy_documents


async def at_once(archive: Any, source: Any, into: Any, names: Any, instead: Any) -> None:
    for name in sorted(names, key=lambda name: name.startswith("c/")):
        await copied(archive, source, (into[0], into[1] - 1), [name], instead)
        if name.startswith("c/"):
            say(reached="documents")


async def nothing(*_: object) -> None: ...


branching.copy_documents = told("documents", branching.copy_documents)
branching.copy_records = told("records", branching.copy_records)
branching._born = told("session", branching._born)
Pipeline.reveal = told("end", Pipeline.reveal)  # type: ignore[method-assign]
if broken == ["plain"]:
    branching.copy_documents, Pipeline.reveal = at_once, nothing  # type: ignore[method-assign]

with SessionBridge.from_conn_string(mongodb_uri, redis_url, **settings) as bridge:
    for number in count():
        say(begins=f"b{number}")
        bridge.sessions.branch("s", turn=turn, session_id=f"b{number}").result()
        say(made=f"b{number}")
