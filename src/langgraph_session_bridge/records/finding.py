"""Finds stored records for what works on them: in a pipeline, from async and from sync code."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from langgraph_session_bridge.storage.facets import StoredRecord
from langgraph_session_bridge.storage.runtime import Runtime

T = TypeVar("T")


class PipelineFinder:
    """`waiting.Finder` on a saver's pipeline."""

    def __init__(self, runtime: Runtime) -> None:
        """Asks the pipeline of whichever loop asks."""
        self._runtime = runtime

    async def find(
        self, thread_id: str, kind: str, *, query: Mapping[str, Any], keep: Callable[[StoredRecord], bool]
    ) -> list[StoredRecord]:
        """Records of a thread that `keep` accepts, unflushed ones as well; `query` holds of all that are archived."""
        records = (await self._runtime.pipeline()).records
        return [record async for record in records.find(thread_id, [kind], query=query, keep=keep)]

    async def get(self, thread_id: str, kind: str, ids: Sequence[str]) -> list[StoredRecord]:
        """Records by id, as far as there are such."""
        records = (await self._runtime.pipeline()).records
        return await records.get(thread_id, [(kind, record_id) for record_id in ids])

    def run(self, work: Coroutine[Any, Any, T], instead: str) -> T:
        """Serves a synchronous call; `instead` says what to call where that would deadlock."""
        return self._runtime.run(work, instead)
