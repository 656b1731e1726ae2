"""Removing, copying, compacting and sweeping history: the saver's methods for it."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_session_bridge.checkpoint import retention
from langgraph_session_bridge.checkpoint.copying import copy_thread
from langgraph_session_bridge.checkpoint.dead_letters import MendingSaver
from langgraph_session_bridge.checkpoint.identifiers import checked_ids
from langgraph_session_bridge.checkpoint.sweeping import SweepReport, sweep
from langgraph_session_bridge.ids import checked_id


class KeepingSaver(MendingSaver):
    """The part of `SessionBridgeSaver` that decides what stays."""

    async def acompact(self, thread_ids: Sequence[str] = ()) -> int:
        """Does now what happens in the background anyway: stores lists of small documents as few larger ones.

        Readers notice nothing.

        Args:
            thread_ids: Threads to compact altogether; without any, what the puts of this process left to tidy.

        Returns:
            How many documents that saved.

        Raises:
            UnavailableError: A tier does not answer; nothing is lost.
        """
        pipeline = await self._runtime.pipeline()
        return await pipeline.compact(checked_ids("thread_ids", thread_ids))

    def compact(self, thread_ids: Sequence[str] = ()) -> int:
        """Synchronous `acompact`."""
        return self._runtime.run(self.acompact(thread_ids), "use `await saver.acompact(...)`")

    async def adelete_thread(self, thread_id: str) -> None:
        """Deletes a thread for good: no late flush of any process can bring it back.

        Raises:
            PurgeIncompleteError: A tier did not answer; calling again is safe and finishes it.
        """
        checked_id("thread_id", thread_id)
        pipeline = await self._runtime.pipeline()
        await self._prepare_to_delete([thread_id])
        await pipeline.delete_thread(thread_id)

    async def _prepare_to_delete(self, thread_ids: Sequence[str]) -> None:
        if self._hooks.before_delete is not None:
            for thread_id in thread_ids:
                await self._hooks.before_delete(thread_id)

    def delete_thread(self, thread_id: str) -> None:
        """Synchronous `adelete_thread`."""
        self._runtime.run(self.adelete_thread(thread_id), "use `await saver.adelete_thread(...)`")

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Deletes the checkpoints (and their writes) whose metadata names one of the runs, in all threads."""
        ids = checked_ids("run_ids", run_ids)
        if ids:
            await retention.delete_for_runs(await self._runtime.pipeline(), ids)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Synchronous `adelete_for_runs`."""
        self._runtime.run(self.adelete_for_runs(run_ids), "use `await saver.adelete_for_runs(...)`")

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints and writes to a thread without checkpoints; the copy shares nothing with its source.

        A source without checkpoints makes an empty copy.

        Raises:
            InvalidInputError: The target has checkpoints already, or is the source.
            UnavailableError: A tier does not answer, or somebody else copies to the target at this moment.
        """
        source = checked_id("source_thread_id", source_thread_id)
        target = checked_id("target_thread_id", target_thread_id)
        await copy_thread(await self._runtime.pipeline(), source, target)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Synchronous `acopy_thread`."""
        work = self.acopy_thread(source_thread_id, target_thread_id)
        self._runtime.run(work, "use `await saver.acopy_thread(...)`")

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Removes history.

        Args:
            thread_ids: Threads to prune.
            strategy: `keep_latest` keeps the newest checkpoint of each namespace with its writes, and for a
                `DeltaChannel` the ancestors that rebuild it. `delete` (or `delete_all`) removes the threads.

        Raises:
            InvalidInputError: The strategy is unknown.
        """
        ids = checked_ids("thread_ids", thread_ids)
        pipeline = await self._runtime.pipeline()
        if strategy == "delete":
            await self._prepare_to_delete(ids)
        await retention.prune(pipeline, self.serde, ids, strategy)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Synchronous `aprune`."""
        self._runtime.run(self.aprune(thread_ids, strategy=strategy), "use `await saver.aprune(...)`")

    async def asweep(
        self, thread_ids: Sequence[str] = (), *, grace_s: float = 60.0, dry_run: bool = False
    ) -> SweepReport:
        """Removes what no reader can reach any more and what late flushes or a crash in a deletion left in MongoDB.

        Nothing depends on it but disk space; once a day is enough.

        Args:
            thread_ids: Threads to sweep; by default all that were deleted once, or lost a checkpoint within a day.
            grace_s: How long something must be out of reach before it counts as left over.
            dry_run: Whether only to count.

        Raises:
            UnavailableError: A tier does not answer; calling again is safe.
        """
        ids = checked_ids("thread_ids", thread_ids)
        return await sweep(await self._runtime.pipeline(), ids, grace_s=grace_s, dry_run=dry_run)

    def sweep(self, thread_ids: Sequence[str] = (), *, grace_s: float = 60.0, dry_run: bool = False) -> SweepReport:
        """Synchronous `asweep`."""
        work = self.asweep(thread_ids, grace_s=grace_s, dry_run=dry_run)
        return self._runtime.run(work, "use `await saver.asweep(...)`")
