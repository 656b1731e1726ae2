"""The LangGraph checkpointer: validates, encodes, and hands over to the storage pipeline."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

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
from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.checkpoint import codec, delta, retention
from langgraph_session_bridge.checkpoint.fingerprints import Fingerprints
from langgraph_session_bridge.checkpoint.identifiers import (
    address,
    checked_filter,
    checked_id,
    checked_ids,
    checked_limit,
    checked_writes,
    configurable_of,
    optional_checkpoint_id,
)
from langgraph_session_bridge.checkpoint.metadata import filterable, matches, preselection, redacted
from langgraph_session_bridge.checkpoint.serialising import Limits
from langgraph_session_bridge.checkpoint.templates import Templates
from langgraph_session_bridge.checkpoint.work import CheckpointWork, WritesWork
from langgraph_session_bridge.errors import DataIntegrityError, InvalidInputError
from langgraph_session_bridge.settings import Ack, Driver, Settings
from langgraph_session_bridge.storage.clients import check_mongo, check_redis
from langgraph_session_bridge.storage.hints import Layout
from langgraph_session_bridge.storage.pipeline import Pipeline
from langgraph_session_bridge.storage.pool import Snapshot
from langgraph_session_bridge.storage.runtime import Runtime, from_addresses
from langgraph_session_bridge.storage.stats import Stats
from langgraph_session_bridge.storage.writer import Level

_VERSION_DIGITS = 10
_DURABILITY = "__pregel_durability"
"""Where LangGraph puts the run's `durability` (its `CONFIG_KEY_DURABILITY`)."""


class SessionBridgeSaver(BaseCheckpointSaver[str]):
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

    def __init__(
        self,
        mongo_client: Any,
        redis_client: Any = None,
        *,
        serde: SerializerProtocol | None = None,
        **settings: Any,
    ) -> None:
        """Uses clients of the caller, which stay open when the saver is closed.

        Args:
            mongo_client: A `pymongo.AsyncMongoClient` or a Motor `AsyncIOMotorClient`.
            redis_client: A `redis.asyncio.Redis` or `RedisCluster` without `decode_responses`; `None` for MongoDB only.
            serde: Serializer of values; LangGraph's own by default.
            **settings: Any of `Settings`.

        Raises:
            InvalidTypeError: A client is of another kind (blocking, for example).
            ConfigurationError: A setting is wrong, or the Redis client decodes replies.
        """
        check_mongo(mongo_client)
        if redis_client is not None:
            check_redis(redis_client)
        redis: Callable[[], Any] | None = None if redis_client is None else lambda: redis_client
        runtime = Runtime(Settings.create(**settings), lambda: mongo_client, redis, owns_clients=False)
        self._attach(runtime, serde)

    def _attach(self, runtime: Runtime, serde: SerializerProtocol | None) -> None:
        super().__init__(serde=serde)
        self._runtime = runtime
        self._redact = re.compile(runtime.settings.redact_keys)
        self._templates = Templates(runtime.settings.decoded_max_bytes)
        self._limits = Limits(inline=runtime.settings.inline_max_bytes, ceiling=runtime.settings.max_value_bytes)

    @classmethod
    def from_conn_string(
        cls,
        mongodb_uri: str,
        redis_url: str | None = None,
        *,
        database: str = "langgraph",
        prefix: str = "lsb",
        ack: Ack = "auto",
        serde: SerializerProtocol | None = None,
        driver: Driver = "pymongo",
        **settings: Any,
    ) -> Self:
        """A saver that opens its own clients, one per event loop; usable as `with` and as `async with`.

        Args:
            mongodb_uri: For example `mongodb://localhost:27017/?replicaSet=rs0`.
            redis_url: For example `redis://localhost:6379/0`, `rediss://…` or `unix://…`; `None` for MongoDB only.
            database: MongoDB database.
            prefix: First part of every Redis key; one deployment each.
            ack: When a put returns, see the class.
            serde: Serializer of values; LangGraph's own by default.
            driver: `pymongo` (its asyncio client) or `motor`.
            **settings: Any other of `Settings`. What is left at its default is taken from the environment, if it is
                set there (`LSB_ACK`, `LSB_DATABASE`, …).

        Raises:
            ConfigurationError: An address or setting cannot be used. Servers are first contacted by `setup`, on
                entering the context, or by the first call.
        """
        named = {"database": database, "prefix": prefix, "ack": ack, "driver": driver}
        chosen = {name: value for name, value in named.items() if value != Settings.model_fields[name].default}
        saver = cls.__new__(cls)
        saver._attach(from_addresses(mongodb_uri, redis_url, Settings.create(**chosen, **settings)), serde)
        return saver

    # Lifetime

    async def asetup(self) -> None:
        """Connects, creates what is missing in the database and checks the servers' settings; safe to repeat.

        Raises:
            ConfigurationError: A server is set up in a way that would lose data, or the two do not fit together.
            UnavailableError: A server does not answer.
        """
        await self._runtime.pipeline()

    def setup(self) -> None:
        """Synchronous `asetup`."""
        self._runtime.run(self.asetup(), "use `await saver.asetup()`")

    async def aflush(self) -> int:
        """Returns when everything that was put before, by any process, is in MongoDB.

        Returns:
            Number of journal entries that this call flushed itself.

        Raises:
            UnavailableError: A tier did not answer within `drain_timeout_s`; nothing is lost.
        """
        return await (await self._runtime.pipeline()).flush()

    def flush(self) -> int:
        """Synchronous `aflush`."""
        return self._runtime.run(self.aflush(), "use `await saver.aflush()`")

    async def astats(self) -> Stats:
        """What is unflushed now, and what this process has done so far."""
        return await (await self._runtime.pipeline()).stats()

    def stats(self) -> Stats:
        """Synchronous `astats`."""
        return self._runtime.run(self.astats(), "use `await saver.astats()`")

    async def aclose(self) -> None:
        """Drains the journal within `drain_timeout_s` and closes the library's own clients; safe to repeat.

        Raises:
            UnavailableError: The journal could not be drained. Nothing is lost: another process, or the next start,
                flushes what is left.
        """
        await self._runtime.aclose()

    def close(self) -> None:
        """Synchronous `aclose`."""
        self._runtime.close()

    def __enter__(self) -> Self:
        self.setup()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.asetup()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

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
            ValueTooLargeError: A channel is over `max_value_bytes`; nothing was written.
            BacklogFullError: The journal is full and MongoDB does not drain it.
            DurabilityTimeoutError: Journaled, but MongoDB did not confirm in time.
            UnavailableError: No tier took it.
        """
        thread_id, ns, parent = address(config)
        checked_id("checkpoint id", checkpoint["id"])
        pipeline = await self._runtime.pipeline()
        hints = self._runtime.shared.hints
        stored = redacted(get_checkpoint_metadata(config, metadata), metadata, self._redact)
        work = CheckpointWork(
            serde=self.serde,
            fingerprints=Fingerprints(self.serde),
            thread_id=thread_id,
            ns=ns,
            parent=parent,
            checkpoint=checkpoint,
            metadata=stored,
            filterable=filterable(stored, self._filter_keys),
            new_versions=new_versions,
            limits=self._limits,
            known=hints.layout(thread_id, ns, parent),
            written=hints.written(thread_id, ns, parent),
        )
        await pipeline.put(work, self._level(config))
        return codec.config_of(thread_id, ns, checkpoint["id"])

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
        snapshot = await pipeline.read(thread_id, ns, checkpoint_id)
        try:
            return None if snapshot is None else self._decoded(snapshot)
        except DataIntegrityError:
            if snapshot is None or await pipeline.reader.generation(thread_id) == snapshot.generation:
                raise
            return await self.aget_tuple(config)  # the thread was deleted while it was read

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
        async for snapshot in source:
            yield codec.decode_tuple(self._loader, snapshot)
            if left is not None:
                left -= 1
                if left == 0:
                    return

    def _matching(
        self, pipeline: Pipeline, config: RunnableConfig | None, wanted: dict[str, Any], before: str | None
    ) -> AsyncIterator[Snapshot]:
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

    # Retention

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
        await (await self._runtime.pipeline()).delete_thread(thread_id)

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
        """
        source = checked_id("source_thread_id", source_thread_id)
        target = checked_id("target_thread_id", target_thread_id)
        await retention.copy_thread(await self._runtime.pipeline(), source, target)

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
        await retention.prune(await self._runtime.pipeline(), self.serde, ids, strategy)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Synchronous `aprune`."""
        self._runtime.run(self.aprune(thread_ids, strategy=strategy), "use `await saver.aprune(...)`")

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> BaseCheckpointSaver[str]:
        """A saver with a wider msgpack allowlist that shares connections, flusher and hints with this one."""
        return super().with_allowlist(extra_allowlist)


_AINVOKE = "use the graph's asynchronous API (`ainvoke`, `astream`) or the saver's `a…` method"
