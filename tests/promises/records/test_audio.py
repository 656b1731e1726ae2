"""Audio of sessions on real servers: exact sums of many writers, seen elsewhere before any flush."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from langgraph_session_bridge import SessionBridgeSaver
from langgraph_session_bridge.records.audio.models import AudioSessionMetadata
from langgraph_session_bridge.records.audio.session import AudioSession, read_audio
from langgraph_session_bridge.records.audio.sessions import AudioSessions
from langgraph_session_bridge.records.outbox import Outbox
from promises.records.conftest import OpenSaver, found, records_of


async def read(saver: SessionBridgeSaver, thread: str = "t") -> AudioSessionMetadata:
    [stored] = await found(await records_of(saver), thread, kinds=("audio",))
    return read_audio(stored)


async def test_an_awaited_update_is_seen_by_another_saver(open_saver: OpenSaver) -> None:
    async with open_saver() as saver, open_saver() as reader:
        session = AudioSession(Outbox(saver._runtime), "t", "one")
        await session.connected(transport="websocket", stream_id="s")
        for _ in range(100):
            receipt = session.chunk("in", 640, 0.02)
        await receipt
        counted = await read(reader)
        assert counted.connection.connection_state == "open"
        assert (counted.counters.chunks_in, counted.counters.audio_in_s) == (100, 2.0)


async def test_fifty_writers_on_two_savers_sum_up_exactly_before_and_after_a_flush(open_saver: OpenSaver) -> None:
    async with open_saver() as one, open_saver() as other, open_saver() as reader:
        sessions = [AudioSession(Outbox(saver._runtime), "t", "o") for saver in (one, other) for _ in range(25)]

        def tell(session: AudioSession) -> None:
            for size in range(40):
                session.chunk("in", size, 0.02)
                session.latency("ttfb", size / 100)
                session.turn("user", f"message-{size}")

        with ThreadPoolExecutor(10) as threads:
            await asyncio.gather(*(asyncio.get_running_loop().run_in_executor(threads, tell, s) for s in sessions))
        for session in sessions:
            await session.publish()
        before = await read(reader)
        assert (before.counters.chunks_in, before.counters.bytes_in) == (50 * 40, 50 * sum(range(40)))
        assert (before.counters.audio_in_s, before.latency["ttfb_s"].count) == (40.0, 50 * 40)
        assert (before.counters.turns_user, len(before.transcript_message_ids)) == (50 * 40, 40)
        await one.aflush()
        assert await read(reader) == before
        assert before.writers == 50


def test_nothing_told_before_closing_is_lost(open_saver: OpenSaver) -> None:
    with open_saver() as saver:
        outbox = Outbox(saver._runtime)
        sessions = AudioSessions(outbox, "owner")
        for _ in range(500):
            sessions.open("t").chunk("out", 10)
        assert sessions.close(10)
        outbox.close(10)
    with open_saver() as reader:
        assert reader._runtime.run(read(reader), "").counters.chunks_out == 500
