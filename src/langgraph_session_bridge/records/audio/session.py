"""The audio of a session, told by a voice agent and kept as facets of one record: counts, states and references.

Counters and sketches are running totals of this writer, states are registers with the time of setting (`counting`);
artifacts and message ids are facets named by their content, so the same one from two writers is one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping, MutableSet
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from langgraph_session_bridge.errors import SessionBridgeError
from langgraph_session_bridge.records.audio.coalescing import Build, Coalescer
from langgraph_session_bridge.records.audio.counting import CLOCK, REGISTERS, SKETCHES, TOTALS, Path, Tally
from langgraph_session_bridge.records.audio.models import Activity, ArtifactKind, Direction, Speaker
from langgraph_session_bridge.records.audio.no_audio import checked, given, nanoseconds, one_of, text, whole
from langgraph_session_bridge.records.audio.reading import ARTIFACT, KIND, MESSAGE, RECORD_ID, first_rank, read_audio
from langgraph_session_bridge.records.outbox import Receipt, Sink
from langgraph_session_bridge.settings import Level
from langgraph_session_bridge.storage.facets import Facet

__all__ = ["AudioSession", "read_audio"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


PUBLISH_INTERVAL_S = 0.04
"""Leaves some of the 50 ms, within which others are to see an update, to the write itself."""

_LAST: Final[Path] = ("activity", "last_activity_at")
_CONNECTION: Final = "connection"
_NOTHING: Final[Mapping[Path, int]] = MappingProxyType({})


class AudioSession:
    """`AudioEvents` of one session, kept through a sink.

    One write at a time is under way; what is told meanwhile goes out together right after it. Objects for the same
    session, in this process or in others, add up, so it may be opened as often as is convenient.

    Args:
        sink: Takes the facets.
        thread_id: The session.
        owner: This process, for whoever reads the stored documents.
        level: What receipts stand for; `None` is the sink's default.
        publish_interval_s: Chunks, silence and drops are sent this often at most; all else, and they with it, at once.
        now: The time, for tests.
        coalescers: Is told what sends, for whoever has to wait for it.
    """

    def __init__(
        self,
        sink: Sink,
        thread_id: str,
        owner: str,
        *,
        level: Level | None = None,
        publish_interval_s: float = PUBLISH_INTERVAL_S,
        now: Callable[[], datetime] = _utc_now,
        coalescers: MutableSet[Coalescer] | None = None,
    ) -> None:
        self.thread_id = thread_id
        self._rest_s = publish_interval_s
        self._coalescers = set() if coalescers is None else coalescers
        self._sink, self._owner, self._now = sink, owner, now
        self._level: Level | None = level
        self._life = self._begin()

    # Connection

    def connecting(self, *, transport: str | None = None, stream_id: str | None = None) -> Receipt:
        """A connection is being opened."""
        return self._connection("connecting", {"transport": transport, "stream_id": stream_id})

    def connected(self, *, transport: str | None = None, stream_id: str | None = None) -> Receipt:
        """A connection is open."""
        fields = {"transport": transport, "stream_id": stream_id, "connected_at": self._now()}
        return self._connection("open", fields, {("counters", "connections"): 1})

    def lost(self, reason: str | None = None) -> Receipt:
        """The connection broke and may be resumed."""
        return self._disconnection("lost", reason)

    def reconnected(
        self, *, transport: str | None = None, stream_id: str | None = None, resumption_handle: str | None = None
    ) -> Receipt:
        """A connection continues the one that was lost; of the handle that it was resumed with a hash is kept."""
        handle = None if resumption_handle is None else hashlib.sha256(resumption_handle.encode()).hexdigest()
        fields = {
            "transport": transport,
            "stream_id": stream_id,
            "connected_at": self._now(),
            "resumption_handle_sha256": handle,
        }
        return self._connection("open", fields, {("counters", "reconnects"): 1})

    def disconnected(self, reason: str | None = None) -> Receipt:
        """The connection was closed on purpose."""
        return self._disconnection("closed", reason)

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
        return self._set(
            ("format",),
            given(
                media_format=media_format,
                mime_type=mime_type,
                sample_rate_hz=sample_rate_hz,
                channels=channels,
                bit_depth=bit_depth,
                frame_ms=frame_ms,
                language=language,
            ),
        )

    # Audio

    def chunk(self, direction: Direction, size_bytes: int, duration_s: float = 0.0) -> Receipt:
        """A chunk of audio came in or went out: its size, never itself."""
        one_of(Direction, "direction", direction)
        amounts: dict[Path, int] = {
            ("counters", f"chunks_{direction}"): 1,
            ("counters", f"bytes_{direction}"): whole("size_bytes", size_bytes),
        }
        if duration_s:
            amounts["counters", f"audio_{direction}_ns"] = nanoseconds("duration_s", duration_s)
        return self._count(amounts, rest_s=self._rest_s)

    def dropped(self, chunks: int = 1) -> Receipt:
        """Chunks were thrown away or arrived too late."""
        return self._count({("counters", "dropped_chunks"): whole("chunks", chunks)}, rest_s=self._rest_s)

    def silence(self, duration_s: float) -> Receipt:
        """Nobody spoke for a while."""
        return self._count({("counters", "silence_ns"): nanoseconds("duration_s", duration_s)}, rest_s=self._rest_s)

    # Conversation

    def speaking(self, who: Speaker, active: bool = True) -> Receipt:
        """Somebody began to speak, or stopped."""
        one_of(Speaker, "who", who)
        if who == "agent":
            return self.activity("speaking" if active else "listening")
        since = self._now() if active else None
        return self._set(("activity",), {"vad_state": "speech" if active else "silence", "user_speaking_since": since})

    def activity(self, activity: Activity) -> Receipt:
        """What the agent does now."""
        one_of(Activity, "activity", activity)
        return self._set(("activity",), {"activity": activity})

    def turn(self, who: Speaker, message_id: str | None = None) -> Receipt:
        """A turn is complete; the message in the graph's state holds its words."""
        one_of(Speaker, "who", who)
        facet = () if message_id is None else (_named_by_content(MESSAGE, {"id": text("message_id", message_id)}),)
        return self._count({("counters", f"turns_{who}"): 1}, *facet)

    def interrupted(self, *, false: bool = False) -> Receipt:
        """The user interrupted the agent, or only seemed to (`false`: a cough, an echo)."""
        return self._count({("counters", "false_interruptions" if false else "interruptions"): 1})

    def latency(self, name: str, seconds: float) -> Receipt:
        """One observation of a latency such as `ttfb`, `stt_s`, `llm_ttft_s`, `e2e_latency_s`."""
        key = text("name", name)
        tally, coalescer = self._alive()
        tally.observe(("latency", key if key.endswith("_s") else f"{key}_s"), seconds)
        return coalescer.push({SKETCHES: tally.sketches})

    def usage(self, provider: str, model: str, **amounts: int) -> Receipt:
        """What a call of a model cost, such as `input_audio_tokens=…` or `characters=…`."""
        names = (text("provider", provider), text("model", model))
        return self._count({("usage", *names, name): whole(name, amount) for name, amount in amounts.items()})

    # References

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
        """Where a recording, a transcript or the like is. The same id again adds what is given to what is known."""
        one_of(ArtifactKind, "kind", kind)
        fields = given(
            uri=text("uri", uri),
            id=text("id", id) if id else hashlib.sha256(uri.encode()).hexdigest()[:32],
            kind=kind,
            mime_type=mime_type,
            size_bytes=None if size_bytes is None else whole("size_bytes", size_bytes),
            duration_s=duration_s,
            sha256=sha256,
        )
        return self._count({}, _named_by_content(ARTIFACT, checked(fields, "artifact")))

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
        references = given(
            session_id=session_id,
            conversation_id=conversation_id,
            response_id=response_id,
            resumption_handle=resumption_handle,
        )
        return self._set(("provider_refs", text("name", name)), references)

    def note(self, **metadata: Any) -> Receipt:
        """Anything else about the session, by name; the last word on each name stays."""
        return self._set(("metadata",), metadata)

    def publish(self) -> Receipt:
        """The receipt for all that was told until now; sends again what a failed write held."""
        return self._alive()[1].push({})

    def restart(self) -> Receipt | None:
        """Counts from zero, as a writer of its own; the receipt is for all that was told before, none if it is lost."""
        _, coalescer = self._alive()
        self._life = self._begin()
        with contextlib.suppress(SessionBridgeError):
            return coalescer.push({})
        return None

    # Inside

    def _begin(self) -> tuple[int, Tally, Coalescer]:
        tally = Tally(self._owner, KIND, RECORD_ID)
        coalescer = Coalescer(self._sink, self.thread_id, self._level)
        self._coalescers.add(coalescer)
        return os.getpid(), tally, coalescer

    def _alive(self) -> tuple[Tally, Coalescer]:
        """The writer of this process: a forked child counts under a name of its own, from zero."""
        if self._life[0] != os.getpid():
            self._life = self._begin()
        return self._life[1:]

    def _count(self, amounts: Mapping[Path, int], *named: Facet, rest_s: float = 0.0) -> Receipt:
        tally, coalescer = self._alive()
        tally.count(amounts, {_LAST: self._now()})
        changed: dict[str, Build] = {TOTALS: tally.totals}
        changed.update({facet.name: partial(_same, facet) for facet in named})
        return coalescer.push(changed, rest_s=rest_s)

    def _set(self, path: Path, values: Mapping[str, Any], amounts: Mapping[Path, int] = _NOTHING) -> Receipt:
        registers = {(*path, name): checked(value, name) for name, value in values.items()}
        tally, coalescer = self._alive()
        tally.set(registers)
        tally.count(amounts, {_LAST: self._now()})
        return coalescer.push({REGISTERS: tally.registers, TOTALS: tally.totals})

    def _connection(self, state: str, fields: Mapping[str, Any], amounts: Mapping[Path, int] = _NOTHING) -> Receipt:
        return self._set((_CONNECTION,), {"connection_state": state, **given(**fields)}, amounts)

    def _disconnection(self, state: str, reason: str | None) -> Receipt:
        fields = {"connection_state": state, "disconnected_at": self._now(), "disconnect_reason": reason}
        return self._set((_CONNECTION,), fields)


def _named_by_content(prefix: str, value: Mapping[str, Any]) -> Facet:
    """Equal content has one name, and of its versions the earliest stays."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
    moment = CLOCK()
    return Facet(kind=KIND, id=RECORD_ID, name=prefix + digest, rank=first_rank(moment), value={**value, "at": moment})


def _same(facet: Facet) -> Facet:
    return facet
