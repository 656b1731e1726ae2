"""Our field names as those of OpenTelemetry's GenAI conventions, at the edge.

The conventions are still marked "development" and have moved before; stored records keep our names, and only these
tables follow. What the conventions have no name for is called `session_bridge.…`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langgraph_session_bridge.records.capture.plain import canonical, plain

Attribute = str | int | float | bool | list[str]
"""What an OpenTelemetry attribute can hold, of what records need."""

_COMMON = {
    "thread_id": "gen_ai.conversation.id",
    "session_id": "session.id",
    "user_id": "user.id",
    "agent_name": "gen_ai.agent.name",
    "graph_node": "graph.node.id",
    "graph_step": "session_bridge.step",
    "id": "session_bridge.record.id",
    "seq": "session_bridge.record.seq",
    "run_id": "session_bridge.run.id",
    "checkpoint_id": "session_bridge.checkpoint.id",
    "checkpoint_ns": "session_bridge.checkpoint.ns",
    "tags": "tag.tags",
}

TOOL = {
    **_COMMON,
    "tool_name": "gen_ai.tool.name",
    "tool_description": "gen_ai.tool.description",
    "tool_type": "gen_ai.tool.type",
    "tool_call_id": "gen_ai.tool.call.id",
    "arguments.text": "gen_ai.tool.call.arguments",
    "arguments.bytes": "session_bridge.arguments.bytes",
    "arguments.sha256": "session_bridge.arguments.sha256",
    "result.text": "gen_ai.tool.call.result",
    "result.bytes": "session_bridge.result.bytes",
    "result.sha256": "session_bridge.result.sha256",
    "error.type": "error.type",
    "error.message": "exception.message",
    "status": "session_bridge.status",
    "attempt": "session_bridge.attempt",
    "idempotency_key": "session_bridge.idempotency_key",
}

CONTEXT = {
    **_COMMON,
    "source": "gen_ai.data_source.id",
    "query.text": "gen_ai.retrieval.query.text",
    "content.bytes": "session_bridge.content.bytes",
    "content.sha256": "session_bridge.content.sha256",
    "kind": "session_bridge.context.kind",
    "origin": "session_bridge.context.origin",
    "label": "session_bridge.context.label",
    "score": "session_bridge.context.score",
    "error.type": "error.type",
    "error.message": "exception.message",
    "status": "session_bridge.status",
}

EVENT = {
    **_COMMON,
    "name": "event.name",
    "error.type": "error.type",
    "error.message": "exception.message",
}

AUDIO = {
    "thread_id": "gen_ai.conversation.id",
    "connection.transport": "session_bridge.audio.transport",
    "connection.connection_state": "session_bridge.audio.connection_state",
    "connection.disconnect_reason": "session_bridge.audio.disconnect_reason",
    "format.media_format": "session_bridge.audio.media_format",
    "format.sample_rate_hz": "session_bridge.audio.sample_rate_hz",
    "format.channels": "session_bridge.audio.channels",
    "format.language": "session_bridge.audio.language",
    "counters.reconnects": "session_bridge.audio.reconnects",
    "counters.chunks_in": "session_bridge.audio.chunks_in",
    "counters.chunks_out": "session_bridge.audio.chunks_out",
    "counters.bytes_in": "session_bridge.audio.bytes_in",
    "counters.bytes_out": "session_bridge.audio.bytes_out",
    "counters.audio_in_s": "session_bridge.audio.audio_in_s",
    "counters.audio_out_s": "session_bridge.audio.audio_out_s",
    "counters.dropped_chunks": "session_bridge.audio.dropped_chunks",
    "counters.turns_user": "session_bridge.audio.turns_user",
    "counters.turns_agent": "session_bridge.audio.turns_agent",
    "counters.interruptions": "session_bridge.audio.interruptions",
    "counters.false_interruptions": "session_bridge.audio.false_interruptions",
}


def attributes(record: Any, table: Mapping[str, str], **fixed: Attribute) -> dict[str, Attribute]:
    """The attributes that a table names, without those that are unknown.

    Args:
        record: A record; a name with dots in the table goes into the models it consists of.
        table: Our name and theirs.
        fixed: Attributes of ours to be added; `__` in a name stands for a dot.
    """
    found: dict[str, Attribute] = {name.replace("__", "."): value for name, value in fixed.items()}
    for path, name in table.items():
        value = record
        for part in path.split("."):
            value = getattr(value, part, None)
        if value is not None and value != []:
            found[name] = attribute(value)
    return found


def attribute(value: Any) -> Attribute:
    """A value as OpenTelemetry takes it: JSON, unless it is plain."""
    if isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(value)
    return canonical(plain(value))
