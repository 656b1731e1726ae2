"""Events of audio stacks as plain dictionaries, translated to `AudioEvents`; nothing of any vendor is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langgraph_session_bridge.records.audio.events import AudioEvents
from langgraph_session_bridge.records.outbox import Receipt

_CONNECTION = ("transport", "stream_id")
_FORMAT = ("media_format", "mime_type", "sample_rate_hz", "channels", "bit_depth", "frame_ms", "language")
_ARTIFACT = ("kind", "id", "mime_type", "size_bytes", "duration_s", "sha256")
_PROVIDER = ("session_id", "conversation_id", "response_id", "resumption_handle")
_PAYLOADS = ("data", "audio", "payload")

_SAME = {
    "start": "connected",
    "open": "connected",
    "stop": "disconnected",
    "end": "disconnected",
    "closed": "disconnected",
    "error": "lost",
    "resumed": "reconnected",
    "audio_chunk": "chunk",
    "audio_in": "chunk",
    "audio_out": "chunk",
    "turn_complete": "turn",
    "interruption": "interrupted",
    "speech_started": "speaking",
    "speech_stopped": "speaking",
    "usage_metadata": "usage",
    "session_resumption_update": "provider",
}


class AudioEventAdapter:
    """Takes `{"type": …}` events: those of WebSocket protocols (`start`, `audio_chunk`, `stop`) and of live adapters.

    Args:
        events: Where they go, usually an `AudioSession`.
        provider: The name for references and usage of events that name no provider.

    Example:
        ```python
        adapter = AudioEventAdapter(session)
        adapter.handle({"type": "start", "transport": "websocket", "sample_rate_hz": 16_000})
        adapter.handle({"type": "audio_chunk", "direction": "in", "data": "UklGRiQ…", "duration_s": 0.02})
        adapter.handle({"type": "stop", "reason": "hung up"})
        ```
    """

    def __init__(self, events: AudioEvents, provider: str = "unknown") -> None:
        self.ignored = 0
        """Events of types that are not known."""
        self._events, self._provider = events, provider
        self._handlers: dict[str, Callable[[str, Mapping[str, Any]], Receipt]] = {
            "connecting": lambda _, event: events.connecting(**_some(event, _CONNECTION)),
            "connected": self._connected,
            "lost": lambda _, event: events.lost(event.get("reason") or event.get("message")),
            "reconnected": self._reconnected,
            "disconnected": lambda _, event: events.disconnected(event.get("reason")),
            "format": lambda _, event: events.format(**_some(event, _FORMAT)),
            "chunk": self._chunk,
            "dropped": lambda _, event: events.dropped(event.get("chunks", 1)),
            "silence": lambda _, event: events.silence(event["duration_s"]),
            "speaking": self._speaking,
            "activity": lambda _, event: events.activity(event["activity"]),
            "turn": lambda _, event: events.turn(event.get("who", "agent"), event.get("message_id")),
            "interrupted": lambda _, event: events.interrupted(false=bool(event.get("false"))),
            "latency": lambda _, event: events.latency(event["name"], event["seconds"]),
            "usage": self._usage,
            "artifact": lambda _, event: events.artifact(event["uri"], **_some(event, _ARTIFACT)),
            "provider": self._reference,
            "note": lambda _, event: events.note(**{key: value for key, value in event.items() if key != "type"}),
        }

    def handle(self, event: Mapping[str, Any]) -> Receipt | None:
        """Tells one event; `None` if its type is not known. Audio in it is measured, and goes no further.

        Raises:
            InvalidInputError: A value cannot be.
            InvalidTypeError: A value has the wrong type, or is audio where metadata is expected.
            KeyError: The event lacks what its type needs.
        """
        kind = str(event.get("type", "")).lower().rpartition(".")[2]
        handler = self._handlers.get(_SAME.get(kind, kind))
        if handler is None:
            self.ignored += 1
            return None
        return handler(kind, event)

    def _connected(self, _: str, event: Mapping[str, Any]) -> Receipt:
        self._told_format(event)
        return self._events.connected(**_some(event, _CONNECTION))

    def _reconnected(self, _: str, event: Mapping[str, Any]) -> Receipt:
        self._told_format(event)
        handle = event.get("resumption_handle") or event.get("handle")
        return self._events.reconnected(**_some(event, _CONNECTION), resumption_handle=handle)

    def _told_format(self, event: Mapping[str, Any]) -> None:
        if given := _some(event, _FORMAT):
            self._events.format(**given)

    def _chunk(self, kind: str, event: Mapping[str, Any]) -> Receipt:
        direction = event.get("direction", "out" if kind == "audio_out" else "in")
        return self._events.chunk(direction, _size_bytes(event), event.get("duration_s", 0.0))

    def _speaking(self, kind: str, event: Mapping[str, Any]) -> Receipt:
        return self._events.speaking(event.get("who", "user"), event.get("active", kind != "speech_stopped"))

    def _usage(self, _: str, event: Mapping[str, Any]) -> Receipt:
        amounts = {key: value for key, value in event.items() if isinstance(value, int)}
        return self._events.usage(event.get("provider", self._provider), event.get("model", "unknown"), **amounts)

    def _reference(self, _: str, event: Mapping[str, Any]) -> Receipt:
        given = _some(event, _PROVIDER)
        if "new_handle" in event:
            given["resumption_handle"] = event["new_handle"]
        return self._events.provider(event.get("provider", self._provider), **given)


def _some(event: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: event[name] for name in names if event.get(name) is not None}


def _size_bytes(event: Mapping[str, Any]) -> int:
    """What the event says, or what its payload amounts to; base64 is measured, not decoded."""
    for name in ("size_bytes", "bytes"):
        if isinstance(event.get(name), int):
            return int(event[name])
    for name in _PAYLOADS:
        payload = event.get(name)
        if isinstance(payload, (bytes, bytearray, memoryview)):
            return memoryview(payload).nbytes
        if isinstance(payload, str):
            return len(payload.rstrip("=")) * 3 // 4
    message = "chunk"
    raise KeyError(message)
