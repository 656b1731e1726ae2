"""What a voice agent tells of its audio: one small protocol between any audio stack and the session."""

from __future__ import annotations

from typing import Any, Protocol

from langgraph_session_bridge.records.audio.models import Activity, ArtifactKind, Direction, Speaker
from langgraph_session_bridge.records.outbox import Receipt


class AudioEvents(Protocol):
    """Events of a voice session. No method blocks or needs an event loop, and any thread may call it.

    Each returns the receipt of the write that will hold the event: ignore it, `wait` for it, or `await` it. Raising is
    for what is wrong in the call itself: bytes, negative amounts, endless names.
    """

    def connecting(self, *, transport: str | None = None, stream_id: str | None = None) -> Receipt:
        """A connection is being opened."""
        ...

    def connected(self, *, transport: str | None = None, stream_id: str | None = None) -> Receipt:
        """A connection is open."""
        ...

    def lost(self, reason: str | None = None) -> Receipt:
        """The connection broke and may be resumed."""
        ...

    def reconnected(
        self, *, transport: str | None = None, stream_id: str | None = None, resumption_handle: str | None = None
    ) -> Receipt:
        """A connection continues the one that was lost; of the handle that it was resumed with a hash is kept."""
        ...

    def disconnected(self, reason: str | None = None) -> Receipt:
        """The connection was closed on purpose."""
        ...

    def format(
        self,
        *,
        media_format: str | None = None,
        mime_type: str | None = None,
        sample_rate_hz: int | None = None,
        channels: int | None = None,
        bit_depth: int | None = None,
        frame_ms: float | None = None,
        language: str | None = None,
    ) -> Receipt:
        """What the audio is made of; what is left out stays as it was."""
        ...

    def chunk(self, direction: Direction, size_bytes: int, duration_s: float = 0.0) -> Receipt:
        """A chunk of audio came in or went out: its size, never itself."""
        ...

    def dropped(self, chunks: int = 1) -> Receipt:
        """Chunks were thrown away or arrived too late."""
        ...

    def silence(self, duration_s: float) -> Receipt:
        """Nobody spoke for a while."""
        ...

    def speaking(self, who: Speaker, active: bool = True) -> Receipt:
        """Somebody began to speak, or stopped."""
        ...

    def activity(self, activity: Activity) -> Receipt:
        """What the agent does now."""
        ...

    def turn(self, who: Speaker, message_id: str | None = None) -> Receipt:
        """A turn is complete; the message in the graph's state holds its words."""
        ...

    def interrupted(self, *, false: bool = False) -> Receipt:
        """The user interrupted the agent, or only seemed to (`false`: a cough, an echo)."""
        ...

    def latency(self, name: str, seconds: float) -> Receipt:
        """One observation of a latency such as `ttfb`, `stt_s`, `llm_ttft_s`, `e2e_latency_s`."""
        ...

    def usage(self, provider: str, model: str, **amounts: int) -> Receipt:
        """What a call of a model cost, such as `input_audio_tokens=…` or `characters=…`."""
        ...

    def artifact(
        self,
        uri: str,
        *,
        kind: ArtifactKind = "audio",
        id: str | None = None,
        mime_type: str | None = None,
        size_bytes: int | None = None,
        duration_s: float | None = None,
        sha256: str | None = None,
    ) -> Receipt:
        """Where a recording, a transcript or the like is."""
        ...

    def provider(
        self,
        name: str,
        *,
        session_id: str | None = None,
        conversation_id: str | None = None,
        response_id: str | None = None,
        resumption_handle: str | None = None,
    ) -> Receipt:
        """What a provider calls the session; what is left out stays as it was."""
        ...

    def note(self, **metadata: Any) -> Receipt:
        """Anything else about the session, by name; the last word on each name stays."""
        ...
