"""What MongoDB keeps about the deployment and its threads as a whole: schema, indexes, epoch, generations."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import ReadPreference, ReturnDocument, WriteConcern
from pymongo import errors as mongo_errors
from pymongo.read_concern import ReadConcern

from langgraph_session_bridge.errors import ConfigurationError
from langgraph_session_bridge.storage.mongodb_errors import explained

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 2
SESSION_INDEXES = {
    "sessions_of_user": [("k", 1), ("f.life.user_id", 1), ("f.life.status", 1), ("f.touch.key", -1)],
    "sessions_of_user_by_age": [("k", 1), ("f.life.user_id", 1), ("f.life.status", 1), ("f.life.key", -1)],
    "sessions_of_all": [("k", 1), ("f.life.status", 1), ("f.touch.key", -1)],
    "sessions_of_all_by_age": [("k", 1), ("f.life.status", 1), ("f.life.key", -1)],
    "sessions_by_tag": [("k", 1), ("f.life.tags", 1), ("f.life.user_id", 1), ("f.touch.key", -1)],
}
"""What sessions are listed by, newest first; equality on the kind makes counting them a matter of the index alone."""
SESSIONS_BY_FIELD = {
    "sessions_by_id": "f.life.alias",
    "sessions_to_expire": "f.touch.expires_at",
    "sessions_due": "f.life.due",
}
"""Of sessions that have the field."""
INDEXES = (
    "every_checkpoint",
    "checkpoints_of_runs",
    "stones",
    "records_of_thread",
    "open_records",
    "attempts",
    *SESSION_INDEXES,
    *SESSIONS_BY_FIELD,
)
_INDEXES_VERSION = 5
_UNAUTHORIZED = 13
_NAMESPACE_EXISTS = 48
_STONE_TTL_S = 24 * 3600


class MongoRecords:
    """The collections of one MongoDB database, and the records that are not a thread's documents.

    Collections: `checkpoints` (checkpoints, channel values, pending writes and chunks, told apart by their `_id`),
    `records` (tool executions, context injections and the like), `threads` (the generation that fences deleted threads)
    and `meta` (schema, shards, epoch). Every document has the
    thread id `t`, and every query has equality on it, except `every_checkpoint`, `checkpoints_of_runs`, `sessions`,
    `count_sessions`, `session_traces`, `grouped_records` (some hundred threads at a time), and what a sweep asks:
    `overdue_sessions`, `deleted_threads` and `threads_with_stones`.
    """

    def __init__(self, client: Any, database: str, *, concurrency: int, owns_client: bool) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(concurrency)
        self._owns_client = owns_client
        self._db = db = client.get_database(
            database,
            write_concern=WriteConcern("majority", j=True),
            read_concern=ReadConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )
        self._checkpoints = db.get_collection("checkpoints")
        self._records = db.get_collection("records", codec_options=CodecOptions(tz_aware=True))
        self._threads = db.get_collection("threads")
        self._meta = db.get_collection("meta")
        self.deployment: Mapping[str, Any] = {}

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """One of the commands in flight, first come first served: in the driver's own queue newcomers overtake."""
        async with self._slots:
            with explained():
                yield

    # Deployment

    async def setup(
        self, *, shards: int, create_indexes: bool, journal: bool, block_compressor: str = "default"
    ) -> None:
        """Reads the deployment's record, creating it and the indexes where they are missing.

        Args:
            shards: Journal shards of a new deployment.
            create_indexes: Whether indexes may be created.
            journal: Whether this process writes through a journal.
            block_compressor: How files of a new database are compressed.

        Raises:
            ConfigurationError: The database was written by an incompatible version.
        """
        async with self._asking():
            found = await self._meta.find_one({"_id": "deployment"})
            wanted: dict[str, Any] = {"journal": True} if journal else {}
            if create_indexes:
                wanted["indexes"] = _INDEXES_VERSION
            if found is None or wanted.items() - found.items():
                if create_indexes and found is None and block_compressor != "default":
                    await self._create_collections(block_compressor)
                if create_indexes and (found or {}).get("indexes") != _INDEXES_VERSION:
                    await self._create_indexes_if_allowed()
                found = await self._meta.find_one_and_update(
                    {"_id": "deployment"},
                    {
                        "$setOnInsert": {
                            "schema": SCHEMA_VERSION,
                            "shards": shards,
                            "id": uuid.uuid4().hex,
                            **({} if journal else {"journal": False}),
                        },
                        **({"$set": wanted} if wanted else {}),
                    },
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
        if found["schema"] != SCHEMA_VERSION:
            message = (
                f"The database holds schema version {found['schema']}, this library reads {SCHEMA_VERSION}. "
                "Use the matching version of langgraph-session-bridge, or another database."
            )
            raise ConfigurationError(message)
        if found["journal"] and not journal:
            message = (
                "This database is written through a Redis journal; without it, other processes would go on serving old "
                "states and unflushed puts would be missed. Pass redis_url, or use another database."
            )
            raise ConfigurationError(message)
        self.deployment = found

    async def _create_collections(self, block_compressor: str) -> None:
        engine = {"wiredTiger": {"configString": f"block_compressor={block_compressor}"}}
        for collection in (self._checkpoints, self._records):
            try:
                await self._db.command("create", collection.name, storageEngine=engine)
            except mongo_errors.OperationFailure as error:
                if error.code != _NAMESPACE_EXISTS:  # another engine, or an account that may not choose
                    logger.info("MongoDB does not take block_compressor=%s: %s", block_compressor, error)

    async def _create_indexes_if_allowed(self) -> None:
        try:
            await self._create_indexes()
        except mongo_errors.OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            message = (
                "The MongoDB account may not create indexes. Let one that may set the database up once (see "
                "docs/operations.md), or pass create_indexes=False."
            )
            raise ConfigurationError(message) from error

    async def _create_indexes(self) -> None:
        await self._checkpoints.create_index(
            [("c", -1)], name="every_checkpoint", partialFilterExpression={"c": {"$exists": True}}
        )
        await self._checkpoints.create_index(
            [("m.run_id", 1)], name="checkpoints_of_runs", partialFilterExpression={"m.run_id": {"$exists": True}}
        )
        await self._checkpoints.create_index(
            [("gone", 1)],
            name="stones",
            partialFilterExpression={"gone": {"$exists": True}},
            expireAfterSeconds=_STONE_TTL_S,
        )
        await self._records.create_index([("t", 1), ("g", 1), ("k", 1), ("o", -1)], name="records_of_thread")
        await self._records.create_index(
            [("t", 1), ("g", 1), ("k", 1), ("o", -1)], name="open_records", partialFilterExpression={"open": True}
        )
        await self._records.create_index(
            [("t", 1), ("f.start.call", 1)],
            name="attempts",
            partialFilterExpression={"f.start.call": {"$exists": True}},
        )
        for name, keys in SESSION_INDEXES.items():
            await self._records.create_index(keys, name=name, partialFilterExpression={"k": "session"})
        for name, path in SESSIONS_BY_FIELD.items():
            await self._records.create_index(
                [("k", 1), (path, 1)], name=name, partialFilterExpression={"k": "session", path: {"$exists": True}}
            )

    async def missing_indexes(self) -> list[str]:
        """Names of indexes that cross-thread queries need and the database lacks."""
        async with self._asking():
            present = {**await self._checkpoints.index_information(), **await self._records.index_information()}
        return [name for name in INDEXES if name not in present]

    async def next_epoch(self) -> int:
        """A new epoch ordinal, higher than any before."""
        async with self._asking():
            found = await self._meta.find_one_and_update(
                {"_id": "epoch"}, {"$inc": {"n": 1}}, upsert=True, return_document=ReturnDocument.AFTER
            )
        return int(found["n"])

    async def epoch(self) -> int:
        """The newest epoch ordinal (0 in a new database)."""
        async with self._asking():
            found = await self._meta.find_one({"_id": "epoch"})
        return int(found["n"]) if found else 0
