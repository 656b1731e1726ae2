"""Databases that tests use one after the other, and what is in them past the library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import bson
from pymongo import MongoClient
from redis import Redis

from langgraph_session_bridge.embedded import EmbeddedServers


@contextmanager
def emptied(servers: EmbeddedServers, name: str) -> Iterator[str]:
    """A database and key prefix, empty at the start of each test: cheaper than new ones."""
    yield name
    with MongoClient(servers.mongodb_uri) as client:
        for collection in ("checkpoints", "records", "threads"):
            client[name][collection].delete_many({})
    with Redis.from_url(servers.redis_url) as redis:
        for pattern in ("t:*", "r:*", "log", "lease", "dead", "parked"):
            for key in redis.scan_iter(f"{name}:{{s*}}:{pattern}", count=1000):
                redis.delete(key)


@dataclass(frozen=True, slots=True)
class Tiers:
    """What is in MongoDB and Redis, past the library."""

    servers: EmbeddedServers
    store: str

    def raw(self, kind: str = "", thread: str = "") -> dict[str, bytes]:
        """BSON of the archive's documents by name within their generation; by kind (`s` runs, `w` writes, …)."""
        with MongoClient(self.servers.mongodb_uri) as client:
            rows = client[self.store]["checkpoints"].find({"gone": None, **({"t": thread} if thread else {})})
            named = {row["_id"].split("/", 2)[2]: row for row in rows}
        return {name: bson.encode(row) for name, row in named.items() if not kind or name.startswith(f"{kind}/")}

    def stored(self) -> int:
        """How many documents the archive has, of all generations."""
        with MongoClient(self.servers.mongodb_uri) as client:
            return int(client[self.store]["checkpoints"].count_documents({"gone": None}))

    def count(self, kind: str = "", thread: str = "") -> int:
        return len(self.raw(kind, thread))

    def size(self, kind: str = "", thread: str = "") -> int:
        return sum(map(len, self.raw(kind, thread).values()))

    def holding(self, marker: str | bytes) -> list[str]:
        """Names of the archive's documents in whose bytes a text occurs."""
        wanted = marker.encode() if isinstance(marker, str) else marker
        return sorted(name for name, raw in self.raw().items() if wanted in raw)

    def insert_again(self, raws: Iterable[bytes]) -> int:
        """What a late flusher does: inserts documents, each unless its name is taken; returns how many were not."""
        inserted = 0
        with MongoClient(self.servers.mongodb_uri) as client:
            collection = client[self.store]["checkpoints"]
            for raw in raws:
                document = bson.decode(raw)
                done = collection.update_one({"_id": document.pop("_id")}, {"$setOnInsert": document}, upsert=True)
                inserted += done.upserted_id is not None
        return inserted

    def slots(self, thread: str = "t") -> dict[str, list[tuple[int, int]]]:
        """Which positions of each lineage the archive's runs hold."""
        found: dict[str, list[tuple[int, int]]] = {}
        for name, raw in sorted(self.raw("s", thread).items()):
            _, lineage, start = name.split("/")
            found.setdefault(lineage, []).append((int(start, 16), bson.decode(raw)["e"]))
        return found

    def hot(self) -> dict[str, dict[str, bytes]]:
        """Fields of the threads' hashes in Redis, by the last part of the key."""
        with Redis.from_url(self.servers.redis_url) as client:
            keys = sorted(client.scan_iter(f"{self.store}:*:t:*", count=1000))
            found = {key.decode().rsplit(":", 1)[1]: client.hgetall(key) for key in keys}
        return {thread: {name.decode(): raw for name, raw in fields.items()} for thread, fields in found.items()}

    def hot_runs(self, thread: str = "t") -> list[str]:
        return sorted(name for name in self.hot().get(thread, {}) if name.startswith("s/"))

    def forget_hot(self) -> None:
        """What eviction and expiry may take: every hash that has a time to live."""
        with Redis.from_url(self.servers.redis_url) as client:
            for key in client.scan_iter(f"{self.store}:*:t:*", count=1000):
                assert client.pttl(key) > 0, "only what is flushed may be evicted"
                client.delete(key)
