"""A thread that grows by one checkpoint of about 1 KB at each call, as LangGraph would put it."""

from __future__ import annotations

import uuid
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

VALUE = "v" * 990


class Session:
    """One conversation with a saver."""

    def __init__(self, saver: BaseCheckpointSaver[str]) -> None:
        """The thread begins with `start`."""
        self._saver = saver
        self._thread_id = uuid.uuid4().hex
        self._config: Any = {"configurable": {"thread_id": self._thread_id, "checkpoint_ns": ""}}
        self._version: str | None = None
        self._step = 0

    async def start(self) -> None:
        """Reads, as LangGraph does at the beginning of a run, and puts once."""
        await self.get()
        await self.put()

    async def put(self) -> None:
        """One more checkpoint, with one new value."""
        self._version = self._saver.get_next_version(self._version, None)
        self._step += 1
        checkpoint = empty_checkpoint() | {
            "id": str(uuid6(clock_seq=self._step)),
            "channel_values": {"value": f"{self._step:010}{VALUE}", "step": self._step},
            "channel_versions": {"value": self._version, "step": self._version},
        }
        versions = dict(checkpoint["channel_versions"])
        metadata: Any = {"source": "loop", "step": self._step, "parents": {}}
        self._config = await self._saver.aput(self._config, checkpoint, metadata, versions)

    async def get(self) -> None:
        """The latest checkpoint."""
        await self._saver.aget_tuple({"configurable": {"thread_id": self._thread_id, "checkpoint_ns": ""}})
