"""Events of audio stacks as dictionaries: each type does what its method does, and payloads go nowhere."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from sinks import THREAD, CollectingSink, stored

from langgraph_session_bridge.errors import InvalidTypeError
from langgraph_session_bridge.records.audio.adapter import AudioEventAdapter
from langgraph_session_bridge.records.audio.models import AudioSessionMetadata
from langgraph_session_bridge.records.audio.session import AudioSession, read_audio

FRAME = bytes(range(256)) * 2 + b"!!"


def told(*events: dict[str, Any]) -> AudioSessionMetadata:
    sink = CollectingSink()
    adapter = AudioEventAdapter(AudioSession(sink, THREAD, "owner", publish_interval_s=0), provider="google")
    for event in events:
        receipt = adapter.handle(event)
        assert receipt is not None and receipt.done
    assert not any(FRAME[:40] in raw or base64.b64encode(FRAME)[:40] in raw for raw in sink.writes)
    return read_audio(stored(sink.writes))


def test_a_websocket_session() -> None:
    found = told(
        {"type": "start", "transport": "websocket", "stream_id": "s", "sample_rate_hz": 16_000},
        {"type": "audio_chunk", "data": base64.b64encode(FRAME).decode(), "duration_s": 0.02},
        {"type": "audio_chunk", "data": FRAME, "direction": "out"},
        {"type": "audio_chunk", "size_bytes": 3},
        {"type": "audio_chunk", "bytes": 4},
        {"type": "stop", "reason": "hung up"},
    )
    assert (found.counters.bytes_in, found.counters.bytes_out) == (len(FRAME) + 7, len(FRAME))
    assert found.counters.audio_in_s == 0.02
    assert (found.connection.connection_state, found.connection.disconnect_reason) == ("closed", "hung up")
    assert (found.connection.transport, found.format.sample_rate_hz) == ("websocket", 16_000)


def test_a_live_adapter_with_a_resumption() -> None:
    found = told(
        {"type": "connecting", "transport": "websocket"},
        {"type": "session.connected", "stream_id": "one"},
        {"type": "audio_in", "audio": FRAME},
        {"type": "speech_started"},
        {"type": "speech_stopped"},
        {"type": "turn_complete", "message_id": "m"},
        {"type": "turn", "who": "user"},
        {"type": "interrupted"},
        {"type": "interrupted", "false": True},
        {"type": "session_resumption_update", "new_handle": "handle"},
        {"type": "error", "message": "1011"},
        {"type": "session.resumed", "handle": "handle", "stream_id": "two", "mime_type": "audio/pcm"},
        {"type": "usage_metadata", "model": "live", "input_audio_tokens": 7, "note": "text"},
        {"type": "latency", "name": "ttfa", "seconds": 0.25},
        {"type": "artifact", "uri": "gs://b/call.wav", "size_bytes": 9},
        {"type": "dropped"},
        {"type": "silence", "duration_s": 1},
        {"type": "activity", "activity": "processing"},
        {"type": "note", "campaign": "spring"},
        {"type": "audio.output.audio_out", "audio": FRAME},
    )
    assert (found.connection.connection_state, found.connection.stream_id) == ("open", "two")
    assert found.connection.disconnect_reason == "1011" and found.connection.resumption_handle_sha256
    assert found.provider_refs["google"].resumption_handle == "handle"
    counters = found.counters
    assert (counters.connections, counters.reconnects, counters.chunks_in, counters.chunks_out) == (1, 1, 1, 1)
    assert (counters.turns_user, counters.turns_agent, counters.dropped_chunks) == (1, 1, 1)
    assert (counters.interruptions, counters.false_interruptions, counters.silence_s) == (1, 1, 1.0)
    assert (found.usage[0].provider, found.usage[0].input_audio_tokens) == ("google", 7)
    assert found.latency["ttfa_s"].count == 1 and found.artifacts[0].size_bytes == 9
    assert (found.activity.activity, found.activity.vad_state) == ("processing", "silence")
    assert found.metadata == {"campaign": "spring"} and found.format.mime_type == "audio/pcm"


@pytest.mark.parametrize("size", range(1, 8))
def test_base64_is_measured_exactly(size: int) -> None:
    assert told({"type": "chunk", "data": base64.b64encode(b"x" * size).decode()}).counters.bytes_in == size


def test_unknown_types_are_counted_and_ignored() -> None:
    sink = CollectingSink()
    adapter = AudioEventAdapter(AudioSession(sink, THREAD, "owner"))
    assert adapter.handle({"type": "rate_limits.updated"}) is None
    assert adapter.handle({}) is None
    assert adapter.ignored == 2 and sink.writes == []


def test_an_event_without_what_it_needs_is_an_error() -> None:
    adapter = AudioEventAdapter(AudioSession(CollectingSink(), THREAD, "owner"))
    for event in ({"type": "audio_chunk"}, {"type": "latency", "name": "x"}, {"type": "artifact"}):
        with pytest.raises(KeyError):
            adapter.handle(event)


def test_audio_where_metadata_is_expected_is_refused() -> None:
    adapter = AudioEventAdapter(AudioSession(CollectingSink(), THREAD, "owner"))
    with pytest.raises(InvalidTypeError, match="Audio is never stored"):
        adapter.handle({"type": "note", "data": FRAME})
