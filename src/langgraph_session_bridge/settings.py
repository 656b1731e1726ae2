"""Every knob of the library: its name with the unit, its default and what it trades."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from langgraph_session_bridge.errors import ConfigurationError

Ack = Literal["cache", "aof", "majority", "auto"]
"""When a put returns: journaled, journaled and fsynced, or majority-committed in MongoDB."""

Level = Literal["cache", "aof", "majority"]
"""What such a level promises."""

Driver = Literal["pymongo", "motor"]
"""Which asyncio driver talks to MongoDB."""

MIB = 1024 * 1024


class Settings(BaseSettings):
    """Settings of a saver or bridge.

    Each is a keyword of `SessionBridgeSaver.from_conn_string` and `SessionBridge.from_conn_string`, and can be set by
    an environment variable with the prefix `LSB_`, for example `LSB_ACK=majority`.
    """

    model_config = SettingsConfigDict(env_prefix="LSB_", extra="forbid", frozen=True)

    database: str = Field("langgraph", min_length=1, max_length=63)
    """MongoDB database that holds the archive."""
    prefix: str = Field("lsb", pattern=r"^[A-Za-z0-9_.-]{1,32}$")
    """First part of every Redis key; one deployment each."""
    ack: Ack = "auto"
    """Default acknowledgement level; `auto` follows the run's `durability`."""
    driver: Driver = "pymongo"
    """MongoDB driver for clients that the library opens itself."""
    create_indexes: bool = True
    """Whether `setup` may create indexes (false where the account must not)."""

    shards: int = Field(16, ge=1, le=1024)
    """Journal shards of a new deployment; fixed once the deployment exists."""
    max_concurrency: int = Field(64, ge=1)
    """Commands in flight per event loop and server; also the size of connection pools."""
    connect_timeout_s: float = Field(5.0, gt=0)
    """How long opening a connection or choosing a server may take."""
    operation_timeout_s: float = Field(10.0, gt=0)
    """How long one command to a server may take."""
    put_timeout_s: float = Field(30.0, gt=0)
    """How long a put may wait for room in the journal or for a majority."""
    breaker_pause_s: float = Field(0.1, gt=0)
    """How long calls go past a Redis that did not answer before one of them tries it again; doubles with each try."""
    breaker_pause_max_s: float = Field(5.0, gt=0)
    """Longest such pause."""
    drain_timeout_s: float = Field(30.0, gt=0)
    """How long `close` and `flush` may take to empty the journal."""

    flush_interval_s: float = Field(0.05, gt=0)
    """Longest time that new entries wait for the next batch."""
    flush_poll_s: float = Field(1.0, gt=0)
    """How often the flusher looks for entries that other processes left."""
    flush_batch_entries: int = Field(500, ge=1)
    """Most journal entries in one batch."""
    flush_batch_bytes: int = Field(8 * MIB, ge=1)
    """Most document bytes in one batch (a larger single entry still goes, alone)."""
    flush_concurrency: int = Field(4, ge=1)
    """How many shards one process flushes at the same time."""
    lease_ttl_s: float = Field(5.0, gt=0)
    """How long a dead flusher keeps a shard from the others."""

    backlog_max_entries: int = Field(20_000, ge=1)
    """Most unflushed entries per shard before puts wait."""
    backlog_max_bytes: int = Field(256 * MIB, ge=1)
    """Most unflushed document bytes per shard before puts wait."""
    hot_ttl_s: float = Field(3600.0, ge=1)
    """How long the latest state of an idle, flushed thread stays in Redis."""
    hot_max_bytes: int = Field(8 * MIB, ge=0)
    """Largest state that a cold read copies into Redis."""
    hot_max_fields: int = Field(2048, ge=16)
    """A flushed thread with more hot fields than this (many namespaces) leaves Redis."""
    require_safe_eviction: bool = True
    """Refuse a Redis whose `maxmemory-policy` may evict unflushed data."""

    inline_max_bytes: int = Field(128, ge=0)
    """Channel values up to this size live inside the checkpoint document."""
    compression: Literal["none", "zstd"] = "none"
    """Compression of what is stored in either tier (extra `zstd`); costs CPU in this process, saves Redis memory and
    bytes on the wire. Useless under encryption. Any process with the extra reads both."""
    block_compressor: Literal["default", "snappy", "zlib", "zstd"] = "zstd"
    """How a new database compresses its files (MongoDB's own default is snappy); costs the server's CPU, saves disk."""
    max_value_bytes: int = Field(512 * MIB, ge=1)
    """Ceiling for one serialised channel value or pending write; of a list or dictionary, for what one put adds."""
    redact_keys: str = (
        r"(?i)(api[_-]?key|secret|passw(or)?d|passphrase|authorization|credential|private[_-]?key"
        r"|access[_-]?key|cookie|bearer|(^|[_-])(token|jwt)$)"
    )
    """Regular expression: config entries with a matching name are stored as `<redacted>`."""
    record_ack: Level = "cache"
    """When a record counts as stored, where a call does not say so; `aof` waits for MongoDB where it is not proven."""
    record_write_ahead: Literal["off", "cache", "aof", "majority"] = "cache"
    """Level at which a tool call is on record before the tool runs; `off` does not wait."""
    record_write_ahead_s: float = Field(2.0, gt=0)
    """How long a tool waits for that at most; then it runs, and the call is counted as late."""
    record_strict: bool = False
    """Whether what cannot be recorded breaks the run; otherwise it is counted."""
    outbox_max_records: int = Field(20_000, ge=1)
    """Most records (facets of them) that wait in this process to be stored; more are dropped and counted."""
    outbox_max_bytes: int = Field(64 * MIB, ge=1)
    """Most bytes that they may have."""
    capture: Literal["none", "digest", "full"] = "digest"
    """What is kept of arguments, results, queries and documents: sizes and hashes; their first characters too; all."""
    capture_max_bytes: int = Field(64 * 1024, ge=1)
    """Longest text that is kept of one value; the rest is cut off."""
    session_idle_ttl_s: float | None = Field(None, gt=0)
    """Sessions that are made without one expire when nothing happened for so long; `None` is never."""
    session_hard_ttl_s: float | None = Field(None, gt=0)
    """Likewise so long after they were made, whatever happened."""
    session_sweep_interval_s: float = Field(0.0, ge=0)
    """How often a bridge deletes the sessions whose lifetime is over; 0 leaves that to `sessions.sweep()`."""
    filter_keys: tuple[str, ...] = ("source", "step", "run_id")
    """Metadata keys stored in the clear so that MongoDB can preselect on them in `list`."""
    hints_max: int = Field(4096, ge=1)
    """Checkpoints whose layout a process remembers, to send only what changed."""
    hints_max_bytes: int = Field(64 * MIB, ge=1)
    """Most memory for these layouts, roughly (16 bytes for each element of a list, besides the small values)."""
    decoded_max_bytes: int = Field(64 * MIB, ge=0)
    """Most memory, roughly, for decoded messages that are copied instead of decoded again; 0 keeps none."""

    @field_validator("redact_keys")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from error
        return value

    @classmethod
    def create(cls, **values: Any) -> Settings:
        """Builds settings, with an error that names what is wrong.

        Raises:
            ConfigurationError: A name is unknown or a value out of range.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            known = ", ".join(sorted(cls.model_fields))
            message = f"Invalid settings ({problems}). Known settings: {known}."
            raise ConfigurationError(message) from error
