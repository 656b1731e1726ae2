"""What is known of a session's audio: its connection, counts, latencies, usage and where its files are, never audio."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from langgraph_session_bridge.records import otel
from langgraph_session_bridge.records.audio.no_audio import checked
from langgraph_session_bridge.records.audio.sketch import Sketch
from langgraph_session_bridge.records.otel import Attribute

ConnectionState = Literal["idle", "connecting", "open", "closed", "lost"]
Activity = Literal["idle", "listening", "speaking", "recording", "processing"]
Direction = Literal["in", "out"]
Speaker = Literal["user", "agent"]
ArtifactKind = Literal["audio", "transcript", "subtitles", "other"]


class AudioModel(BaseModel):
    """Frozen; keeps fields that it does not know; refuses audio in any of them.

    Raises:
        InvalidTypeError: A value is or holds bytes, or text that is base64.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _no_audio(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for name, value in data.items():
                checked(_unchecked(value), f"{cls.__name__}.{name}")
        return data


def _unchecked(value: Any) -> Any:
    """Without models of ours, which were checked when they were made."""
    if isinstance(value, (list, tuple)):
        return [None if isinstance(each, AudioModel) else each for each in value]
    if type(value) is dict:
        return {key: None if isinstance(each, AudioModel) else each for key, each in value.items()}
    return None if isinstance(value, AudioModel) else value


class AudioConnection(AudioModel):
    """The connection as it was seen last; `disconnected_at` and its reason are those of the last disconnection."""

    connection_state: ConnectionState = "idle"
    transport: str | None = None
    """`websocket`, `webrtc`, `sip`, `phone`, …"""
    stream_id: str | None = None
    connected_at: datetime | None = None
    disconnected_at: datetime | None = None
    disconnect_reason: str | None = None
    resumption_handle_sha256: str | None = None
    """Of the handle that the connection was resumed with; the next handle is in `provider_refs`."""


class AudioFormat(AudioModel):
    """What the audio is made of."""

    media_format: str | None = None
    """For example `raw/lpcm16`."""
    mime_type: str | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    bit_depth: int | None = None
    frame_ms: float | None = None
    language: str | None = None


class AudioActivity(AudioModel):
    """Who does what at the moment."""

    activity: Activity = "idle"
    vad_state: str | None = None
    """`speech` or `silence` of the user, or a provider's own word."""
    user_speaking_since: datetime | None = None
    last_activity_at: datetime | None = None


class AudioCounters(AudioModel):
    """Sums over all that any process counted."""

    connections: int = 0
    reconnects: int = 0
    chunks_in: int = 0
    chunks_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    audio_in_s: float = 0.0
    audio_out_s: float = 0.0
    silence_s: float = 0.0
    dropped_chunks: int = 0
    turns_user: int = 0
    turns_agent: int = 0
    interruptions: int = 0
    false_interruptions: int = 0


class LatencySummary(AudioModel):
    """One latency in seconds; the quantiles are within 5 %."""

    count: int
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float

    @classmethod
    def of(cls, sketch: Sketch) -> LatencySummary:
        """Of what a sketch observed, which is something."""
        p50, p95, p99 = (sketch.quantile(share) for share in (0.5, 0.95, 0.99))
        return cls(count=sketch.count, mean_s=sketch.mean, p50_s=p50, p95_s=p95, p99_s=p99, max_s=sketch.maximum)


class AudioUsage(AudioModel):
    """What one model of one provider was used for; other amounts are kept under the names they were given."""

    provider: str
    model: str
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    cached_audio_tokens: int = 0
    input_text_tokens: int = 0
    output_text_tokens: int = 0
    characters: int = 0


class AudioArtifact(AudioModel):
    """Where something is that came of the session. The session itself never holds it."""

    id: str
    kind: ArtifactKind = "audio"
    uri: str
    mime_type: str | None = None
    size_bytes: int | None = None
    duration_s: float | None = None
    sha256: str | None = None


class ProviderReference(AudioModel):
    """What a provider calls the session. A handle resumes it for whoever has it, so `repr` does not show it."""

    session_id: str | None = None
    conversation_id: str | None = None
    response_id: str | None = None
    resumption_handle: str | None = Field(default=None, repr=False)


class AudioSessionMetadata(AudioModel):
    """Everything that is known of a session's audio."""

    schema_version: int = 1
    thread_id: str
    connection: AudioConnection = AudioConnection()
    format: AudioFormat = AudioFormat()
    activity: AudioActivity = AudioActivity()
    counters: AudioCounters = AudioCounters()
    latency: dict[str, LatencySummary] = {}
    """By name: `ttfb_s`, `ttfa_s` (Pipecat's), `stt_s`, `llm_ttft_s`, `tts_ttfb_s`, `eou_delay_s`, `e2e_latency_s`
    (LiveKit's), and any other."""
    usage: list[AudioUsage] = []
    artifacts: list[AudioArtifact] = []
    transcript_message_ids: list[str] = []
    provider_refs: dict[str, ProviderReference] = {}
    metadata: dict[str, Any] = {}
    writers: int = 0
    """How many processes, or lives of one, contributed."""

    def to_otel_attributes(self) -> dict[str, Attribute]:
        """What is known as attributes; tokens are sums over all providers."""
        found = otel.attributes(
            self,
            otel.AUDIO,
            gen_ai__usage__input_tokens=sum(row.input_audio_tokens + row.input_text_tokens for row in self.usage),
            gen_ai__usage__output_tokens=sum(row.output_audio_tokens + row.output_text_tokens for row in self.usage),
        )
        found |= {f"session_bridge.audio.latency.{name}.p95": each.p95_s for name, each in self.latency.items()}
        providers = sorted({row.provider for row in self.usage})
        return found | ({"gen_ai.provider.name": providers[0]} if len(providers) == 1 else {})
