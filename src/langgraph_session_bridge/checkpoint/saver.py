"""The LangGraph checkpointer: validates, encodes, and hands over to the storage pipeline."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_metadata,
)

from langgraph_session_bridge.checkpoint import codec, delta
from langgraph_session_bridge.checkpoint.fingerprints import Fingerprints
from langgraph_session_bridge.checkpoint.identifiers import (
    address,
    checked_filter,
    checked_limit,
    checked_writes,
    configurable_of,
    fence_of,
    optional_checkpoint_id,
)
from langgraph_session_bridge.checkpoint.keeping import KeepingSaver
from langgraph_session_bridge.checkpoint.metadata import filterable, matches, preselection, redacted
from langgraph_session_bridge.checkpoint.work import CheckpointWork, WritesWork
from langgraph_session_bridge.errors import DataIntegrityError, InvalidInputError
from langgraph_session_bridge.ids import checked_id
from langgraph_session_bridge.settings import Level
from langgraph_session_bridge.storage.gates import Pass
from langgraph_session_bridge.storage.hints import Layout
from langgraph_session_bridge.storage.pipeline import Pipeline
from langgraph_session_bridge.storage.pool import Snapshot

_VERSION_DIGITS = 10
_TRIES = 3
_DURABILITY = "__pregel_durability"
"""Where LangGraph puts the run's `durability` (its `CONFIG_KEY_DURABILITY`)."""


class SessionBridgeSaver(KeepingSaver):
    """A checkpointer that keeps graph state in MongoDB behind a Redis write-behind journal.

    One object serves `invoke` and `ainvoke`, worker threads, several event loops and Jupyter. A put returns when its
    acknowledgement level holds:

    | `ack` | returned when | survives |
    |---|---|---|
    | `cache` | Redis holds it | death of this process, and of a Redis server with an append-only file |
    | `aof` | same, on a Redis proven to run `appendfsync always` | also a power loss of the Redis host |
    | `majority` | MongoDB holds it and everything before it on a majority | also the loss of Redis and its disk |
    | `auto` | `majority` for runs with `durability="sync"` or `"exit"`, else `cache` | as above |

    Interrupts, resumes and errors never go below `aof`, or `majority` where `aof` is not proven.

    Example:
        ```python
        with SessionBridgeSaver.from_conn_string("mongodb://localhost:27017", "redis://localhost:6379") as saver:
            graph = builder.compile(checkpointer=saver)
        ```
    """

    # Writing

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores a checkpoint; returns when its acknowledgement level holds.

        Raises:
            InvalidInputError: An id cannot be used; nothing was written.
            SessionEndedError: The thread is a session that has ended; nothing was written.
            SessionPausedError: It is paused, and this put begins a run; nothing was written.
            SessionBusyError: Somebody else holds its lease, or took this one over; nothing was written.
            ValueTooLargeError: A channel is over `max_value_bytes`; nothing was written.
            BacklogFullError: The journal is full and MongoDB does not drain it.
            DurabilityTimeoutError: Journaled, but MongoDB did not confirm in time.
            DeadLetterError: Journaled, but an earlier put of the thread is one that MongoDB refuses for good.
            RefusedError: MongoDB refuses this one for good; with a journal it becomes a dead letter.
            UnavailableError: No tier took it.
        """
        thread_id, ns, parent = address(config)
        checked_id("checkpoint id", checkpoint["id"])
        pipeline = await self._runtime.pipeline()
        stored = redacted(get_checkpoint_metadata(config, metadata), metadata, self._redact)
        place = (thread_id, ns, parent)
        shown = Pass(fence=fence_of(config), begins=metadata.get("source") == "input")
        hook = self._hooks.before_put
        changed = None if hook is None else hook(thread_id, ns, checkpoint, metadata, new_versions)
        work = self._work(*place, checkpoint if changed is None else changed[0], stored, new_versions, shown)
        if changed is not None and not await changed[1]():
            work = self._work(*place, checkpoint, stored, new_versions, shown)
        await pipeline.put(work, self._level(config))
        if self._hooks.after_put is not None:
            self._hooks.after_put(thread_id, ns, parent, checkpoint, metadata)
        return codec.config_of(thread_id, ns, checkpoint["id"])

    def _work(
        self,
        thread_id: str,
        ns: str,
        parent: str,
        checkpoint: Checkpoint,
        metadata: Mapping[str, Any],
        new_versions: ChannelVersions,
        shown: Pass,
    ) -> CheckpointWork:
        hints = self._runtime.shared.hints
        return CheckpointWork(
            serde=self.serde,
            fingerprints=Fingerprints(self.serde),
            thread_id=thread_id,
            ns=ns,
            parent=parent,
            checkpoint=checkpoint,
            metadata=metadata,
            filterable=filterable(metadata, self._filter_keys),
            new_versions=new_versions,
            limits=self._limits,
            shown=shown,
            known=hints.layout(thread_id, ns, parent),
            written=hints.written(thread_id, ns, parent),
        )

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Synchronous `aput`."""
        return self._runtime.run(self.aput(config, checkpoint, metadata, new_versions), _AINVOKE)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Stores pending writes of a task, all or none; per index the first ordinary write counts, or the last control.

        Raises:
            InvalidInputError: An id cannot be used; nothing was written.
            SessionEndedError: The session has ended; see `aput` for its other states.
            ValueTooLargeError: A write is over `max_value_bytes`; nothing was written.
            UnavailableError: No tier took it; see `aput` for its kinds.
        """
        thread_id, ns, checkpoint_id = address(config)
        checked_id("task_id", task_id)
        checked_id("task_path", task_path, empty=True)
        if not checkpoint_id:
            message = f"put_writes for thread {thread_id[:80]!r} needs a checkpoint_id in its config."
            raise InvalidInputError(message)
        checked_writes(writes)
        if not writes:
            return
        pipeline = await self._runtime.pipeline()
        work = WritesWork(
            serde=self.serde,
            fingerprints=Fingerprints(self.serde),
            thread_id=thread_id,
            ns=ns,
            checkpoint_id=checkpoint_id,
            task_id=task_id,
            task_path=task_path,
            writes=writes,
            limits=self._limits,
            shown=Pass(fence=fence_of(config)),
        )
        self._runtime.shared.hints.remember_writes(thread_id, ns, checkpoint_id, work.written)
        await pipeline.put(work, self._level(config))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Synchronous `aput_writes`."""
        self._runtime.run(self.aput_writes(config, writes, task_id, task_path), _AINVOKE)

    def _level(self, config: RunnableConfig) -> Level:
        ack = self._runtime.settings.ack
        if ack != "auto":
            return ack
        durability = configurable_of(config).get(_DURABILITY)
        return "majority" if durability in ("sync", "exit") else "cache"

    @property
    def _filter_keys(self) -> tuple[str, ...]:
        return (*self._runtime.settings.filter_keys, "run_id")

    def get_next_version(self, current: str | int | float | None, channel: None) -> str:
        """The next version of a channel, with a random part so that two branches never share one.

        Versions compare as strings; those of a thread that another saver began keep their width.
        """
        number, width = 0, _VERSION_DIGITS
        if current is not None:
            before = str(current).split(".", 1)[0]
            number, width = int(before), max(width, len(before))
        return f"{number + 1:0{width}}.{random.getrandbits(48):012x}"

    # Reading

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the config names, or the newest of its namespace; sees unflushed puts of every process.

        Raises:
            InvalidInputError: An id cannot be used.
            DataIntegrityError: Something that the checkpoint refers to is missing.
            UnavailableError: The tier that holds the newest state does not answer.
        """
        thread_id, ns, checkpoint_id = address(config)
        pipeline = await self._runtime.pipeline()
        for tries_left in reversed(range(_TRIES)):
            snapshot = await pipeline.read(thread_id, ns, checkpoint_id)
            try:
                return None if snapshot is None else self._decoded(snapshot)
            except DataIntegrityError:  # perhaps only now: it may have been deleted or tidied while it was read
                if not tries_left:
                    raise
        raise AssertionError

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Synchronous `aget_tuple`."""
        return self._runtime.run(self.aget_tuple(config), _AINVOKE)

    @property
    def _loader(self) -> codec.Loader:
        return codec.Loader(self.serde, self._templates)

    def _decoded(self, snapshot: Snapshot) -> CheckpointTuple:
        """The checkpoint for a caller who may go on from it: what it was made of is remembered."""
        found = codec.decode_tuple(self._loader, snapshot)
        document = snapshot.document
        hints, place = self._runtime.shared.hints, (document["t"], document["n"], document["c"])
        values = codec.layout_of(snapshot, found.checkpoint, Fingerprints(self.serde), hints.layout(*place))
        hints.remember_layout(*place, Layout(generation=snapshot.generation, values=values))
        if self._hooks.after_get is not None:
            self._hooks.after_get(place[0], place[1], found.checkpoint)
        return found

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints that match, newest first, after what is unflushed of them has been flushed.

        Args:
            config: Thread to list, and optionally namespace and checkpoint; `None` lists all threads.
            filter: Metadata that a checkpoint must have, compared as Python values.
            before: Only checkpoints with a lower id than this config's.
            limit: At most so many.

        Raises:
            InvalidInputError: An argument cannot be used.
            UnavailableError: A tier does not answer.
        """
        wanted, left = checked_filter(filter), checked_limit(limit)
        bound = optional_checkpoint_id(before.get("configurable") or {}) if before else ""
        if left == 0:
            return
        if config and optional_checkpoint_id(configurable_of(config)):
            left = 1 if configurable_of(config).get("checkpoint_ns") is not None else left
        source = self._matching(await self._runtime.pipeline(), config, wanted, bound or None)
        async with aclosing(source):
            async for snapshot in source:
                yield codec.decode_tuple(self._loader, snapshot)
                if left is not None:
                    left -= 1
                    if left == 0:
                        return

    def _matching(
        self, pipeline: Pipeline, config: RunnableConfig | None, wanted: dict[str, Any], before: str | None
    ) -> AsyncGenerator[Snapshot, None]:
        query = preselection(wanted, self._filter_keys)
        only = ""

        def keep(main: Mapping[str, Any]) -> bool:
            if only and main["c"] != only:
                return False
            return not wanted or matches(self.serde.loads_typed(tuple(main["z"])), wanted)

        if not config:
            return pipeline.everything(before=before, query=query, keep=keep)
        thread_id, ns, only = address(config)
        everywhere = configurable_of(config).get("checkpoint_ns") is None
        if only and not everywhere:
            before = min(before, f"{only}\0") if before is not None else f"{only}\0"
        return pipeline.history(thread_id, None if everywhere else ns, before=before, query=query, keep=keep)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Synchronous `alist`."""
        return self._runtime.iterate(self.alist(config, filter=filter, before=before, limit=limit), _AINVOKE)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Writes that rebuild `DeltaChannel` values, as `BaseCheckpointSaver` specifies, read as one range."""
        thread_id, ns, checkpoint_id = address(config)
        if not channels:
            return {}
        pipeline = await self._runtime.pipeline()
        return await delta.channel_history(pipeline, self._loader, thread_id, ns, checkpoint_id, channels)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Synchronous `aget_delta_channel_history`."""
        return self._runtime.run(self.aget_delta_channel_history(config=config, channels=channels), _AINVOKE)

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> BaseCheckpointSaver[str]:
        """A saver with a wider msgpack allowlist that shares connections, flusher and hints with this one."""
        return super().with_allowlist(extra_allowlist)


_AINVOKE = "use the graph's asynchronous API (`ainvoke`, `astream`) or the saver's `a…` method"
