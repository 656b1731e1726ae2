"""The simulated voice session: what the agent tells of its audio is what the line carried, over a broken line too."""

from __future__ import annotations

import asyncio
import base64

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from sinks import THREAD, CollectingSink, stored

from langgraph_session_bridge.demo.caller import FRAME_BYTES, FRAME_S, SCRIPT, Caller, Utterance, frame
from langgraph_session_bridge.demo.duplex import Line, LineClosedError, LineLostError
from langgraph_session_bridge.demo.voice import PROVIDER, VoiceAgent, VoiceGraph, hold_call, voice_graph
from langgraph_session_bridge.demo.watching import DemoError
from langgraph_session_bridge.records.audio.models import AudioSessionMetadata
from langgraph_session_bridge.records.audio.session import AudioSession, read_audio

CONFIG: RunnableConfig = {"configurable": {"thread_id": THREAD}}


def agent_on(sink: CollectingSink, graph: VoiceGraph, handle: str | None = None) -> VoiceAgent:
    return VoiceAgent(graph, AudioSession(sink, THREAD, "agent", publish_interval_s=0), CONFIG, handle=handle)


def read(sink: CollectingSink) -> AudioSessionMetadata:
    return read_audio(stored(sink.writes))


async def test_a_call_with_an_interruption_and_a_broken_line_is_counted_exactly() -> None:
    sink, graph = CollectingSink(), voice_graph(InMemorySaver())
    agent, caller = agent_on(sink, graph), Caller()
    await hold_call(caller, agent)
    found, told = read(sink), agent.counted

    counters = found.counters
    assert (counters.chunks_in, counters.bytes_in) == (told["chunks_in"], told["bytes_in"])
    assert (counters.chunks_out, counters.bytes_out) == (told["chunks_out"], told["bytes_out"])
    said = sum(utterance.chunks for utterance in SCRIPT)
    assert said < counters.chunks_in <= said + 15, "some of the utterance that broke off was heard"
    assert counters.bytes_in == counters.chunks_in * FRAME_BYTES
    assert counters.audio_in_s == pytest.approx(counters.chunks_in * FRAME_S)
    assert counters.chunks_out == caller.chunks_heard
    assert (counters.connections, counters.reconnects, caller.lines) == (1, 1, 2)
    assert (counters.turns_user, counters.turns_agent, counters.interruptions) == (5, 5, 1)
    assert [complete for _, complete in caller.heard] == [True, True, False, True, True]
    assert [words for words, _ in caller.heard] == agent.answers

    assert (found.connection.connection_state, found.connection.disconnect_reason) == ("closed", "goodbye")
    assert (found.connection.stream_id, found.format.sample_rate_hz) == ("line-2", 16_000)
    assert found.connection.resumption_handle_sha256 and found.provider_refs[PROVIDER].resumption_handle
    assert found.activity.activity == "idle"
    assert found.latency["e2e_latency_s"].count == found.latency["llm_ttft_s"].count == 5
    assert found.usage[0].characters == sum(map(len, agent.answers))
    assert (found.artifacts[0].size_bytes, found.artifacts[0].uri) == (
        counters.bytes_out,
        "recordings://thread/agent.pcm",
    )
    state = await graph.aget_state(CONFIG)
    assert found.transcript_message_ids == [message.id for message in state.values["messages"]]


async def test_the_audio_of_a_call_is_in_no_write() -> None:
    sink = CollectingSink()
    await hold_call(Caller(), agent_on(sink, voice_graph()))
    carried = [part for number in range(60) for part in (frame(number)[:12], base64.b64encode(frame(number))[:16])]
    assert len(sink.writes) > 100
    assert not any(part in raw for raw in sink.writes for part in carried)


async def test_another_process_goes_on_with_the_handle_on_record() -> None:
    sink, graph = CollectingSink(), voice_graph(InMemorySaver())
    caller, first = Caller(), agent_on(sink, graph)
    near, far = Line.pair()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(first.serve(far))
        tasks.create_task(caller.call(near))
    assert serving.result() is False and not caller.done
    broken = read(sink)
    assert broken.connection.connection_state == "lost"
    second = agent_on(sink, graph, broken.provider_refs[PROVIDER].resumption_handle)
    await hold_call(caller, second)
    found = read(sink)
    assert (found.writers, found.counters.reconnects, found.connection.connection_state) == (2, 1, "closed")
    assert found.counters.chunks_in == first.counted["chunks_in"] + second.counted["chunks_in"]
    assert found.counters.turns_user == 5


async def test_a_wrong_handle_is_turned_away() -> None:
    sink = CollectingSink()
    caller = Caller(script=[Utterance(text="Hello")], _handle="made up")
    with pytest.raises(ExceptionGroup) as caught:
        await hold_call(caller, agent_on(sink, voice_graph()))
    assert caught.group_contains(DemoError, match="handle")
    assert sink.writes == []


async def test_a_caller_who_hangs_up_is_disconnected() -> None:
    sink = CollectingSink()
    near, far = Line.pair()
    await near.send({"type": "start", "stream_id": "s"})
    await near.close()
    assert await agent_on(sink, voice_graph()).serve(far)
    assert read(sink).connection.disconnect_reason == "hung up"


async def test_a_line_carries_messages_in_order_and_breaks_at_both_ends() -> None:
    near, far = Line.pair()
    await near.send({"n": 1})
    await near.send({"n": 2})
    assert far.waiting and await far.receive() == {"n": 1}
    waiting = asyncio.ensure_future(near.receive())
    await asyncio.sleep(0)
    far.drop()
    for broken in (waiting, far.receive(), near.send({}), far.send({})):
        with pytest.raises(LineLostError):
            await broken


async def test_who_sends_too_fast_waits_until_the_line_breaks() -> None:
    near, far = Line.pair()

    async def send() -> None:
        while True:
            await near.send({"n": 1})

    sending = asyncio.ensure_future(send())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not sending.done()
    far.drop()
    with pytest.raises(LineLostError):
        await sending


async def test_a_closed_line_gives_what_was_said_before() -> None:
    near, far = Line.pair()
    await near.send({"n": 1})
    await near.close()
    assert await far.receive() == {"n": 1}
    for _ in range(2):
        with pytest.raises(LineClosedError):
            await far.receive()
