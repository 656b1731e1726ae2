"""The audio of a session: what is told is read back, exactly, by any number of writers, and without audio."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sinks import THREAD, CollectingSink, stored

from langgraph_session_bridge.errors import ClosedError, InvalidInputError, InvalidTypeError, JournalUnavailableError
from langgraph_session_bridge.records.audio.models import AudioSessionMetadata
from langgraph_session_bridge.records.audio.session import AudioSession, read_audio
from langgraph_session_bridge.records.audio.sessions import AudioSessions
from langgraph_session_bridge.storage.facets import unpacked

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Timer:
    """A time that only a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


def read(sink: CollectingSink) -> AudioSessionMetadata:
    return read_audio(stored(sink.writes))


@pytest.fixture
def sink() -> CollectingSink:
    return CollectingSink()


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def session(sink: CollectingSink, timer: Timer) -> AudioSession:
    return AudioSession(sink, THREAD, "owner", publish_interval_s=0, now=timer)


def test_nothing_told_is_an_idle_session() -> None:
    found = read_audio(stored([]))
    assert found == AudioSessionMetadata(thread_id=THREAD)
    assert (found.connection.connection_state, found.activity.activity, found.writers) == ("idle", "idle", 0)


def test_a_connection_through_all_its_states(session: AudioSession, sink: CollectingSink, timer: Timer) -> None:
    session.connecting(transport="websocket", stream_id="one")
    assert read(sink).connection.connection_state == "connecting"
    opened = timer.pass_s(1)
    session.connected(stream_id="one")
    found = read(sink).connection
    assert (found.connection_state, found.transport, found.stream_id) == ("open", "websocket", "one")
    assert (found.connected_at, found.disconnected_at) == (opened, None)
    broke = timer.pass_s(5)
    session.lost("1006")
    assert (read(sink).connection.connection_state, read(sink).connection.disconnect_reason) == ("lost", "1006")
    again = timer.pass_s(1)
    session.reconnected(stream_id="two", resumption_handle="a secret handle")
    found = read(sink).connection
    assert (found.connection_state, found.stream_id, found.connected_at) == ("open", "two", again)
    assert found.disconnected_at == broke
    assert found.resumption_handle_sha256 is not None and len(found.resumption_handle_sha256) == 64
    assert b"a secret handle" not in b"".join(sink.writes)
    session.disconnected()
    closed = read(sink)
    assert (closed.connection.connection_state, closed.connection.disconnect_reason) == ("closed", None)
    assert (closed.counters.connections, closed.counters.reconnects) == (1, 1)


def test_everything_told_is_read_back(session: AudioSession, sink: CollectingSink, timer: Timer) -> None:
    session.format(media_format="raw/lpcm16", sample_rate_hz=8_000, channels=1)
    session.format(sample_rate_hz=16_000, bit_depth=16, frame_ms=20, language="en")
    for _ in range(10):
        session.chunk("in", 640, 0.02)
    session.chunk("out", 960, 0.1)
    session.chunk("out", 5)
    session.dropped()
    session.dropped(2)
    session.silence(0.3)
    session.turn("user", "m-1")
    session.turn("agent", "m-2")
    session.turn("agent")
    session.interrupted()
    session.interrupted(false=True)
    for seconds in (0.1, 0.2, 0.3):
        session.latency("ttfb", seconds)
        session.latency("stt_s", seconds)
    session.usage("openai", "gpt-4o.realtime", input_audio_tokens=10, output_audio_tokens=5)
    session.usage("openai", "gpt-4o.realtime", input_audio_tokens=1, reasoning_tokens=3)
    session.usage("deepgram", "nova", characters=7)
    session.provider("openai", session_id="sess", resumption_handle="next")
    session.provider("openai", conversation_id="conv")
    spoke = timer.pass_s(2)
    session.speaking("user")
    session.note(caller="+49", scores=[1, {"a": 2}], **{"odd.na$me": None})
    found = read(sink)

    assert found.format.model_dump(exclude_none=True) == {
        "media_format": "raw/lpcm16",
        "sample_rate_hz": 16_000,
        "channels": 1,
        "bit_depth": 16,
        "frame_ms": 20,
        "language": "en",
    }
    counters = found.counters
    assert (counters.chunks_in, counters.bytes_in, counters.audio_in_s) == (10, 6_400, 0.2)
    assert (counters.chunks_out, counters.bytes_out, counters.audio_out_s) == (2, 965, 0.1)
    assert (counters.dropped_chunks, counters.silence_s) == (3, 0.3)
    assert (counters.turns_user, counters.turns_agent) == (1, 2)
    assert (counters.interruptions, counters.false_interruptions) == (1, 1)
    assert found.transcript_message_ids == ["m-1", "m-2"]
    assert set(found.latency) == {"ttfb_s", "stt_s"}
    latency = found.latency["ttfb_s"]
    assert (latency.count, latency.max_s) == (3, 0.3)
    assert (latency.mean_s, latency.p50_s) == (pytest.approx(0.2), pytest.approx(0.2, rel=0.05))
    assert [(row.provider, row.model) for row in found.usage] == [("deepgram", "nova"), ("openai", "gpt-4o.realtime")]
    assert (found.usage[1].input_audio_tokens, found.usage[1].output_audio_tokens) == (11, 5)
    assert found.usage[1].model_extra == {"reasoning_tokens": 3}
    reference = found.provider_refs["openai"]
    assert (reference.session_id, reference.conversation_id, reference.resumption_handle) == ("sess", "conv", "next")
    assert "next" not in repr(found), "whoever has the handle can resume the session"
    assert (found.activity.user_speaking_since, found.activity.vad_state) == (spoke, "speech")
    assert found.activity.last_activity_at == spoke
    assert found.metadata == {"caller": "+49", "scores": [1, {"a": 2}], "odd.na$me": None}
    assert found.writers == 1
    assert AudioSessionMetadata.model_validate_json(found.model_dump_json()) == found


def test_speaking_and_activity_follow_each_other(session: AudioSession, sink: CollectingSink) -> None:
    session.speaking("user")
    session.speaking("user", active=False)
    assert (read(sink).activity.vad_state, read(sink).activity.user_speaking_since) == ("silence", None)
    session.speaking("agent")
    assert read(sink).activity.activity == "speaking"
    session.speaking("agent", active=False)
    assert read(sink).activity.activity == "listening"
    session.activity("processing")
    assert read(sink).activity.activity == "processing"


def test_artifacts_are_references_and_later_words_add_to_earlier(sink: CollectingSink) -> None:
    one, other = AudioSession(sink, THREAD, "one"), AudioSession(sink, THREAD, "other")
    one.artifact("s3://bucket/call.wav", id="call", mime_type="audio/wav")
    one.artifact("s3://bucket/call.srt", kind="subtitles")
    other.artifact("s3://bucket/call.wav", id="call", size_bytes=640, duration_s=0.02, sha256="f" * 64)
    other.artifact("s3://bucket/call.srt", kind="subtitles")
    call, subtitles = read(sink).artifacts
    assert (call.id, call.mime_type, call.size_bytes, call.duration_s) == ("call", "audio/wav", 640, 0.02)
    assert (subtitles.kind, subtitles.uri) == ("subtitles", "s3://bucket/call.srt")
    assert read_audio(stored(sink.writes[::-1])) == read_audio(stored(sink.writes))


def test_messages_keep_the_order_in_which_they_were_first_told(sink: CollectingSink) -> None:
    one, other = AudioSession(sink, THREAD, "one"), AudioSession(sink, THREAD, "other")
    for session, message_id in ((one, "b"), (other, "a"), (other, "b"), (one, "c")):
        session.turn("user", message_id)
    assert read(sink).transcript_message_ids == ["b", "a", "c"]


@pytest.mark.parametrize("holds", [False, True])
def test_messages_keep_their_order_when_the_first_write_fails(holds: bool) -> None:
    sink = CollectingSink(holds=holds)
    session = AudioSession(sink, THREAD, "owner")
    sink.error = JournalUnavailableError("gone")
    for message_id in ("a", "b", "a"):
        session.turn("user", message_id)
    sink.confirm()
    sink.confirm()
    sink.error = None
    session.publish()
    sink.confirm()
    assert read(sink).transcript_message_ids == ["a", "b"]


def test_open_telemetry_gets_names_it_knows(session: AudioSession, sink: CollectingSink) -> None:
    session.chunk("in", 640, 0.02)
    session.latency("ttfb", 0.2)
    session.usage("openai", "realtime", input_audio_tokens=10, input_text_tokens=2, output_text_tokens=1)
    session.format(sample_rate_hz=16_000)
    found = read(sink).to_otel_attributes()
    assert found["gen_ai.conversation.id"] == THREAD
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (12, 1)
    assert (found["gen_ai.provider.name"], found["session_bridge.audio.sample_rate_hz"]) == ("openai", 16_000)
    assert (found["session_bridge.audio.bytes_in"], found["session_bridge.audio.latency.ttfb_s.p95"]) == (640, 0.2)
    assert all(isinstance(value, (str, int, float)) for value in found.values())


SAMPLE = b"RIFF" + random.Random(5).randbytes(2_000)
ENCODED = base64.b64encode(SAMPLE).decode()


@pytest.mark.parametrize(
    "audio", [SAMPLE, bytearray(SAMPLE), memoryview(SAMPLE), ENCODED], ids=lambda a: type(a).__name__
)
def test_audio_is_refused_by_every_method_and_never_stored(
    session: AudioSession, sink: CollectingSink, audio: Any
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: session.chunk("in", audio),
        lambda: session.chunk("in", 1, audio),
        lambda: session.connected(stream_id=audio),
        lambda: session.connecting(transport=audio),
        lambda: session.lost(audio),
        lambda: session.disconnected(audio),
        lambda: session.format(media_format=audio),
        lambda: session.turn("user", audio),
        lambda: session.latency(audio, 1.0),
        lambda: session.usage("p", "m", characters=audio),
        lambda: session.usage(audio, "m", characters=1),
        lambda: session.artifact(audio),
        lambda: session.artifact("s3://a", sha256=audio),
        lambda: session.artifact("s3://a", id=audio),
        lambda: session.provider("p", session_id=audio),
        lambda: session.provider(audio, session_id="s"),
        lambda: session.note(recording=audio),
        lambda: session.note(deep=[{"recording": audio}]),
        lambda: session.silence(audio),
        lambda: session.dropped(audio),
    ]
    for call in calls:
        with pytest.raises(InvalidTypeError, match=r"Audio is never stored.*artifact\(uri"):
            call()
    session.publish()
    assert sink.writes == []


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.chunk("sideways", 1),
        lambda session: session.chunk("in", -1),
        lambda session: session.chunk("in", 1, -0.02),
        lambda session: session.chunk("in", 1, float("nan")),
        lambda session: session.turn("nobody"),
        lambda session: session.activity("dancing"),
        lambda session: session.speaking("both"),
        lambda session: session.latency("ttfb", -1),
        lambda session: session.artifact("s3://a", kind="video"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_counted(
    session: AudioSession, sink: CollectingSink, call: Callable[[AudioSession], object]
) -> None:
    with pytest.raises(InvalidInputError):
        call(session)
    session.publish()
    assert sink.writes == []


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.chunk("in", 1.5),
        lambda session: session.chunk("in", True),
        lambda session: session.chunk("in", 1, "0.02"),
        lambda session: session.turn("user", 7),
        lambda session: session.artifact(""),
    ],
)
def test_wrong_types_are_refused(session: AudioSession, call: Callable[[AudioSession], object]) -> None:
    with pytest.raises(InvalidTypeError):
        call(session)


# Many writers


def tell(session: AudioSession, chance: random.Random, steps: int) -> None:
    for _ in range(steps):
        session.chunk("in", chance.randrange(1_000), 0.02)
        session.chunk("out", chance.randrange(1_000), 0.02)
        session.latency("ttfb", chance.random())
        session.usage("provider", f"model.{chance.randrange(3)}", characters=1)
        session.turn("user", f"message-{chance.randrange(20)}")


def bytes_in(seed: int, steps: int) -> int:
    """What the session of this seed counts: the same script, told to one writer that nobody disturbs."""
    sink = CollectingSink()
    tell(AudioSession(sink, THREAD, "alone"), random.Random(seed), steps)
    return read(sink).counters.bytes_in


def test_fifty_writers_at_once_sum_up_exactly(sink: CollectingSink) -> None:
    steps = 8
    shared = AudioSessions(sink, "shared")
    sessions = [shared.open(THREAD) if seed % 2 else AudioSession(sink, THREAD, f"o{seed}") for seed in range(50)]
    threads = [
        threading.Thread(target=tell, args=(session, random.Random(seed), steps))
        for seed, session in enumerate(sessions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for session in sessions:
        session.publish().wait(10)
    mixed = sink.writes * 2
    random.Random(1).shuffle(mixed)
    for writes in (sink.writes, mixed):
        found = read_audio(stored(writes))
        assert (found.counters.chunks_in, found.counters.chunks_out) == (50 * steps, 50 * steps)
        assert found.counters.bytes_in == sum(bytes_in(seed, steps) for seed in range(50))
        assert (found.counters.audio_in_s, found.counters.turns_user) == (50 * steps / 50, 50 * steps)
        assert found.latency["ttfb_s"].count == 50 * steps
        assert sum(row.characters for row in found.usage) == 50 * steps
        assert len(found.transcript_message_ids) == len(set(found.transcript_message_ids)) == 20
        assert found.writers == 26


told = st.lists(
    st.one_of(
        st.tuples(
            st.just("chunk"), st.sampled_from(["in", "out"]), st.integers(0, 9_999), st.sampled_from([0.0, 0.02])
        ),
        st.tuples(st.just("turn"), st.sampled_from(["user", "agent"]), st.sampled_from(["m-1", "m-2", None])),
        st.tuples(st.just("latency"), st.sampled_from(["ttfb", "stt_s"]), st.floats(0, 10)),
        st.tuples(st.just("activity"), st.sampled_from(["idle", "listening", "speaking"])),
        st.tuples(st.just("connected")),
        st.tuples(st.just("lost"), st.sampled_from(["1006", None])),
        st.tuples(st.just("artifact"), st.sampled_from(["s3://a", "s3://b"])),
        st.tuples(st.just("provider"), st.sampled_from(["openai", "google"])),
    ),
    max_size=40,
)


@given(told, st.integers(1, 4), st.randoms(use_true_random=False))
def test_any_order_loss_but_of_the_last_and_doubling_reads_the_same(
    events: list[tuple[Any, ...]], writers: int, chance: random.Random
) -> None:
    """What one writer tells in order, several tell in the same order through writes that fail, repeat and mix."""
    straight, alone = CollectingSink(), Timer()
    one = AudioSession(straight, THREAD, "one", publish_interval_s=0, now=alone)
    crooked = CollectingSink()
    many = [AudioSession(crooked, THREAD, f"w{number}", publish_interval_s=0, now=alone) for number in range(writers)]
    for name, *arguments in events:
        alone.pass_s(1)
        crooked.error = JournalUnavailableError("gone") if chance.random() < 0.3 else None
        getattr(one, name)(*arguments)
        getattr(chance.choice(many), name)(*arguments)
    crooked.error = None
    for session in many:
        session.publish()
    writes = crooked.writes + (chance.choices(crooked.writes, k=5) if crooked.writes else [])
    chance.shuffle(writes)
    expected, found = read(straight), read_audio(stored(writes))
    assert found.model_copy(update={"writers": 1}) == expected.model_copy(update={"writers": 1})


def values_of(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from values_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from values_of(each)
    else:
        yield value


def test_no_facet_ever_holds_bytes(session: AudioSession, sink: CollectingSink, timer: Timer) -> None:
    test_everything_told_is_read_back(session, sink, timer)
    kinds = {type(value) for raw in sink.writes for facet in unpacked(raw) for value in values_of(dict(facet.value))}
    assert kinds and not kinds & {bytes, bytearray, memoryview}
    assert max(len(raw) for raw in sink.writes) < 4_096


# One process


def test_many_chunks_become_few_writes() -> None:
    sink = CollectingSink(holds=True)
    session = AudioSession(sink, THREAD, "owner", publish_interval_s=0)
    receipts = [session.chunk("in", 640) for _ in range(1_000)]
    assert len(sink.writes) == 1
    sink.confirm()
    assert len(sink.writes) == 2 and receipts[0].done and not receipts[-1].done
    sink.confirm()
    assert all(receipt.done for receipt in receipts)
    assert read(sink).counters.chunks_in == 1_000


def test_chunks_rest_and_everything_else_takes_them_along() -> None:
    sink = CollectingSink()
    session = AudioSession(sink, THREAD, "owner", publish_interval_s=3_600)
    session.connected()
    for _ in range(100):
        session.chunk("in", 640)
        session.silence(0.01)
        receipt = session.dropped()
    assert len(sink.writes) == 1 and not receipt.done
    session.speaking("user")
    assert receipt.done and read(sink).counters.chunks_in == 100
    assert len(sink.writes) == 2


async def test_a_receipt_can_be_awaited() -> None:
    sink = CollectingSink(holds=True)
    session = AudioSession(sink, THREAD, "owner", level="aof")
    receipt = session.connected()
    asyncio.get_running_loop().call_soon(sink.confirm)
    await receipt
    assert sink.levels == ["aof"]
    sink.error = JournalUnavailableError("gone")
    receipt = session.turn("user")
    asyncio.get_running_loop().call_soon(sink.confirm)
    with pytest.raises(JournalUnavailableError):
        await receipt


def test_draining_waits_for_all_sessions_also_forgotten_ones() -> None:
    sink = CollectingSink(holds=True)
    sessions = AudioSessions(sink, "owner", max_sessions=0)
    session = sessions.open(THREAD)
    for _ in range(3):
        session.chunk("in", 10)
    sessions.open(THREAD)
    assert not sessions.drain(0)
    sink.confirm()
    assert not sessions.drain(0)
    sink.confirm()
    assert sessions.drain(0) and read(sink).counters.chunks_in == 3


def test_draining_tells_that_something_failed(sink: CollectingSink) -> None:
    sessions = AudioSessions(sink, "owner")
    sink.error = JournalUnavailableError("gone")
    sessions.open(THREAD).chunk("in", 10)
    assert not sessions.drain(0)
    sink.refusal = ClosedError("closed")
    assert not sessions.drain(0)
    sink.error = sink.refusal = None
    assert sessions.close(0) and read(sink).counters.chunks_in == 1


def test_sessions_that_were_forgotten_count_on(sink: CollectingSink) -> None:
    sessions = AudioSessions(sink, "owner", publish_interval_s=0, max_sessions=1)
    first = sessions.open(THREAD)
    assert sessions.open(THREAD) is first
    first.chunk("in", 10)
    sessions.open("another")
    again = sessions.open(THREAD)
    assert again is not first
    again.chunk("in", 10)
    first.chunk("in", 10)
    assert (read(sink).counters.chunks_in, read(sink).counters.bytes_in) == (3, 30)


def test_a_forked_child_counts_under_its_own_name(tmp_path: Any, sink: CollectingSink) -> None:
    session = AudioSession(sink, THREAD, "owner", publish_interval_s=0)
    session.chunk("in", 1)
    written, path = len(sink.writes), tmp_path / "child"
    child = os.fork()
    if not child:
        session.chunk("in", 10)
        session.chunk("in", 10)
        path.write_bytes(sink.writes[-1])
        os._exit(0)
    os.waitpid(child, 0)
    session.chunk("in", 100)
    assert len(sink.writes) == written + 1
    assert read_audio(stored([*sink.writes, path.read_bytes()])).counters.bytes_in == 121
