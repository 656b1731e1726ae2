"""Threads that grow as LangGraph grows them: a message, its pending write and a checkpoint at each step."""

from __future__ import annotations

import random
import time
import uuid
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

TEXT_LENGTH = 1000
PROFILE = {"name": "Ada", "language": "en", "plan": "team"}


def conversation(count: int, seed: int = 7) -> list[AnyMessage]:
    """Messages of about 1 KB, a question, an answer with a tool call and the tool's result by turns.

    Words of a vocabulary of thousands and some hexadecimal digits: it compresses as prose does, not to nothing.
    """
    rng = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(4000)]
    return [_message(number, _text(rng, words), rng) for number in range(count)]


def _text(rng: random.Random, words: list[str]) -> str:
    text = " ".join(rng.choices(words, k=TEXT_LENGTH // 6)) + f" {rng.getrandbits(512):x}"
    return text[-TEXT_LENGTH:]


def _message(number: int, text: str, rng: random.Random) -> AnyMessage:
    name = str(uuid.UUID(int=rng.getrandbits(128)))
    if number % 3 == 0:
        return HumanMessage(text, id=name)
    if number % 3 == 2:
        return ToolMessage(text, id=name, name="search", tool_call_id=f"call_{number - 1}")
    return AIMessage(
        text,
        id=name,
        tool_calls=[{"name": "search", "args": {"query": text[:40]}, "id": f"call_{number}"}],
        usage_metadata={"input_tokens": 1200 + number, "output_tokens": 250, "total_tokens": 1450 + number},
    )


def own_bytes(messages: list[AnyMessage]) -> int:
    """What the messages weigh, each serialised once."""
    serde = JsonPlusSerializer()
    return sum(len(serde.dumps_typed(message)[1]) for message in messages)


class Thread:
    """A thread that takes the next message of a conversation at each step, with live objects as `add_messages` has."""

    def __init__(self, saver: BaseCheckpointSaver[Any], messages: list[AnyMessage]) -> None:
        """Starts empty; `messages` is the whole conversation to come."""
        self._saver = saver
        self._coming = messages
        self._live: list[AnyMessage] = []
        self._address = {"thread_id": uuid.uuid4().hex, "checkpoint_ns": ""}
        self._config: Any = {"configurable": self._address}
        self._versions: dict[str, Any] = {}
        self._seen: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._live)

    async def start(self) -> None:
        """The first read of a run, and the checkpoint of its input."""
        await self._saver.aget_tuple(self._config)
        await self._put(["profile", "remaining"])

    async def step(self) -> tuple[float, float]:
        """One message more; milliseconds of its `aput_writes` and its `aput`."""
        message = self._coming[len(self._live)]
        began = time.perf_counter()
        await self._saver.aput_writes(
            self._config, [("messages", [message])], str(uuid.uuid4()), "~__pregel_pull, agent"
        )
        written = time.perf_counter()
        self._live = [*self._live, message]
        put_ms = await self._put(["messages", "remaining"])
        return (written - began) * 1000, put_ms

    async def _put(self, changed: list[str]) -> float:
        version = self._saver.get_next_version(max(self._versions.values(), default=None), None)
        seen, self._versions = self._versions, self._versions | dict.fromkeys(changed, version)
        values = {"messages": self._live, "profile": PROFILE, "remaining": 10_000 - len(self._live)}
        checkpoint: Any = empty_checkpoint() | {
            "id": str(uuid6(clock_seq=len(self._live))),
            "channel_values": {name: value for name, value in values.items() if name in self._versions},
            "channel_versions": self._versions,
            "versions_seen": {"agent": seen},
            "updated_channels": changed,
        }
        metadata: Any = {"source": "loop", "step": len(self._live), "parents": {}}
        began = time.perf_counter()
        self._config = await self._saver.aput(self._config, checkpoint, metadata, dict.fromkeys(changed, version))
        return (time.perf_counter() - began) * 1000

    async def get(self) -> float:
        """Milliseconds of reading the latest checkpoint, which must hold every message.

        Raises:
            AssertionError: It does not.
        """
        began = time.perf_counter()
        messages = await self._latest()
        took = (time.perf_counter() - began) * 1000
        assert [(m.id, m.content) for m in messages] == [(m.id, m.content) for m in self._live], "not what was put"
        return took

    async def reload(self) -> None:
        """Goes on from the objects that the saver returns, as the next run of a thread does."""
        self._live = await self._latest()

    async def _latest(self) -> list[AnyMessage]:
        found = await self._saver.aget_tuple({"configurable": self._address})
        assert found is not None, "nothing found"
        messages: list[AnyMessage] = found.checkpoint["channel_values"].get("messages", [])
        return messages
