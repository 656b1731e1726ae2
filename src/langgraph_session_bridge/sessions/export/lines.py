"""JSONL that loses nothing: the session, its records and its checkpoints, one object a line, to be imported again.

Values are what the saver's serde made of them, in base64: encrypted where it encrypts. The first line says which
session it is, the last how many lines there should be.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from langgraph_session_bridge.checkpoint import dumping
from langgraph_session_bridge.sessions.export.timeline import Source
from langgraph_session_bridge.storage.documents import name_of
from langgraph_session_bridge.storage.facets import packed

SCHEMA_VERSION = 1
FORMAT = "langgraph-session-bridge"


async def write(source: Source) -> AsyncGenerator[str, None]:
    """Line by line; what is in memory is one page of documents.

    A state without its secrets is another state, with which no graph could go on. So with redaction the lines are the
    entries of the timeline: to be read, not to be imported.
    """
    count = 1
    yield _line("session", await _head(source))
    async for line in _stored(source) if source.redaction is None else _told(source):
        count += 1
        yield line
    yield _line("end", {"lines": count + 1})


async def _told(source: Source) -> AsyncGenerator[str, None]:
    async for entry in source.entries():
        yield _line("entry", entry.model_dump(mode="json", exclude_none=True, exclude={"schema_version"}))


async def _stored(source: Source) -> AsyncGenerator[str, None]:
    archive = (await source.backing.saver._runtime.pipeline()).archive
    async for record in dumping.records(archive, source.session.thread_id):
        facets = _base64(packed(record.as_facets()))
        yield _line("record", {"kind": record.kind, "id": record.id, "facets": facets})
    async for rank, row in dumping.documents(archive, source.session.thread_id):
        yield _line(dumping.kind_of(name_of(row)), _document(rank, row, source))


def _line(kind: str, rest: Mapping[str, Any]) -> str:
    value = {"type": kind, "schema_version": SCHEMA_VERSION, **rest}
    return json.dumps(value, separators=(",", ":")) + "\n"  # in ASCII: some characters end a line for some readers


async def _head(source: Source) -> dict[str, Any]:
    session = source.session
    return {
        "format": FORMAT,
        "library_version": version("langgraph-session-bridge"),
        "exported_at": datetime.now(UTC).isoformat(),
        "redacted": source.redaction is not None,
        "session_id": session.session_id,
        "thread_id": session.thread_id,
        "session": (await source.described()).model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _document(rank: int, row: Mapping[str, Any], source: Source) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name_of(row), "rank": rank}
    if "z" in row:
        metadata = source.backing.saver.serde.loads_typed(tuple(row["z"]))
        found |= {"checkpoint_id": row["c"], "checkpoint_ns": row["n"], "parent_id": row["p"] or None}
        found |= {name: metadata.get(name) for name in ("source", "step")}
    return {**found, "bson": _base64(dumping.encoded(row))}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
