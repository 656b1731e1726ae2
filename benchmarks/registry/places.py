"""Everywhere that sessions can be kept, with as many of them as asked for."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from levels.lab import Lab

from langgraph_session_bridge import SessionBridge, SessionManager
from langgraph_session_bridge.sessions.stores.memory_store import MemorySessionStore
from langgraph_session_bridge.sessions.stores.redis_store import RedisSessionStore

USERS, AT_ONCE = 100, 50
MESSAGES = 20
"""In the state of a session that is resumed."""

MEMORY, REDIS, MONGODB, BOTH = "memory", "Redis only", "MongoDB only", "both tiers"


@dataclass(slots=True, kw_only=True)
class Place:
    """A manager, and what is behind it."""

    name: str
    sessions: SessionManager
    bridge: SessionBridge | None = None
    prefix: str = ""
    ids: list[str] = field(default_factory=list)

    async def fill(self, count: int) -> None:
        """Makes sessions, several at once."""
        numbers = itertools.count(len(self.ids))

        async def some() -> None:
            while len(self.ids) < count and (number := next(numbers)) < count:
                self.ids.append((await self.sessions.create(**described(number))).session_id)

        await asyncio.gather(*[some() for _ in range(AT_ONCE)])
        if self.bridge is not None:
            await self.bridge.saver.aflush()

    async def paused(self, number: int) -> str:
        """A session that can be resumed; with a state if there can be any."""
        session = await self.sessions.create(**described(number))
        if self.bridge is not None:
            config: Any = {"configurable": {"thread_id": session.thread_id, "checkpoint_ns": ""}}
            checkpoint = {
                **empty_checkpoint(),
                "channel_values": {
                    "messages": [(HumanMessage, AIMessage)[n % 2]("x" * 1000, id=f"m{n}") for n in range(MESSAGES)]
                },
                "channel_versions": {"messages": "1"},
            }
            await self.bridge.saver.aput(config, checkpoint, {"source": "loop", "step": 1}, {"messages": "1"})  # type: ignore[arg-type]
        await self.sessions.start(session)
        await self.sessions.pause(session)
        return session.session_id


def described(number: int) -> dict[str, Any]:
    """What is said of a session."""
    return {
        "user_id": f"user-{number % USERS}",
        "title": "A question about a bill",
        "tags": ["billing"],
        "metadata": {"plan": "pro"},
    }


async def opened(lab: Lab, stack: AsyncExitStack, names: Sequence[str], count: int) -> list[Place]:
    """The places of these names, still empty."""
    places = []
    for name in names:
        if name == MEMORY:
            store = MemorySessionStore(max_sessions=10 * count + 10_000)
            place = Place(name=name, sessions=await stack.enter_async_context(SessionManager(store)))
        elif name == REDIS:
            prefix = f"bench_{uuid.uuid4().hex[:8]}"
            kept = RedisSessionStore(lab.servers.redis_url, prefix=prefix)
            place = Place(name=name, sessions=await stack.enter_async_context(SessionManager(kept)), prefix=prefix)
        else:
            saver = await lab.saver(redis=name == BOTH)
            bridge = SessionBridge(saver)
            stack.push_async_callback(bridge.aclose)
            place = Place(name=name, sessions=bridge.sessions, bridge=bridge, prefix=saver._runtime.settings.prefix)
        places.append(place)
    return places
