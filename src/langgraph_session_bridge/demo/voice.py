"""A simulated voice session: a caller who speaks by script, and a LangGraph agent that answers and tells its audio.

The messages are those of voice services over WebSockets: `start`, `audio_chunk` with base64, `stop`. The words of an
utterance come with its last chunk, which stands for speech recognition. No network, model or sound card is needed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph

from langgraph_session_bridge.demo.caller import FRAME_S, Caller, chunk, frame
from langgraph_session_bridge.demo.duplex import Line, LineClosedError, LineLostError
from langgraph_session_bridge.records.audio.adapter import AudioEventAdapter
from langgraph_session_bridge.records.audio.events import AudioEvents

PROVIDER, MODEL = "simulated", "scripted-voice"
_DIALLING = 15
"""It takes a caller as long as so many chunks to dial again."""

VoiceGraph = CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]


_ANSWERS = {
    "hello": "Welcome. For how many people, and on which day?",
    "friday": "Friday for four. At what time would you like to come?",
    "eight": "Eight o'clock on Friday, for four people. I will write that down and send you a confirmation.",
    "seven": "Seven it is.",
    "goodbye": "See you on Friday at seven.",
}


def voice_graph(checkpointer: BaseCheckpointSaver[str] | None = None) -> VoiceGraph:
    """The agent's graph: one node that knows its lines."""

    def answer(state: MessagesState) -> dict[str, Any]:
        asked = str(state["messages"][-1].content).lower()
        text = next((said for word, said in _ANSWERS.items() if word in asked), "Could you say that again?")
        return {"messages": [AIMessage(text, id=f"{state['messages'][-1].id}-answer")]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)
    return builder.compile(checkpointer=checkpointer)


class VoiceAgent:
    """Serves the calls of one session, line after line, and tells what happens to `AudioEvents`.

    Args:
        graph: Answers the words.
        events: Usually the session's audio of a bridge.
        config: Names the session's thread.
        handle: What a call must show to go on with the session, if that began elsewhere.
        pace_s: The time between two chunks of an answer; 0 speaks as fast as it can.
    """

    def __init__(
        self,
        graph: VoiceGraph,
        events: AudioEvents,
        config: RunnableConfig,
        *,
        handle: str | None = None,
        pace_s: float = 0.0,
    ) -> None:
        self._graph, self._events, self._config, self._pace_s = graph, events, config, pace_s
        self._adapter = AudioEventAdapter(events, PROVIDER)
        self._handle = handle
        self._spoken = hashlib.sha256()
        self._hearing = False
        self.counted: Counter[str] = Counter()
        """Its own count of what it told, to be compared."""
        self.answers: list[str] = []

    async def serve(self, line: Line) -> bool:
        """Serves one line; false if it broke, and another one may continue."""
        try:
            await self._converse(line)
        except LineLostError as error:
            await self._events.lost(str(error))
            return False
        except LineClosedError:
            await self._events.disconnected("hung up")
        return True

    async def _converse(self, line: Line) -> None:
        while True:
            message = await line.receive()
            if message["type"] == "start":
                await self._start(line, message)
            elif message["type"] == "audio_chunk":
                await self._hear(line, message)
            elif message["type"] == "stop":
                await self._stop(str(message.get("reason", "")))
                return

    async def _start(self, line: Line, message: Mapping[str, Any]) -> None:
        shown = message.get("resume")
        if shown is not None and shown != self._handle:
            await line.send({"type": "error", "message": "This handle is of no session."})
            await line.close()
            return
        kind = "start" if shown is None else "resumed"
        self.counted[kind] += 1
        self._adapter.handle({**message, "type": kind, "handle": shown})
        self._handle, self._hearing = secrets.token_urlsafe(16), False
        self._events.provider(PROVIDER, session_id=str(message["stream_id"]), resumption_handle=self._handle)
        await line.send({"type": "started", "handle": self._handle})

    async def _hear(self, line: Line, message: Mapping[str, Any]) -> None:
        if not self._hearing:
            self._hearing = True
            self._events.speaking("user")
        self._adapter.handle(message)
        self.counted["chunks_in"] += 1
        self.counted["bytes_in"] += len(base64.b64decode(message["data"]))
        if "words" in message:
            self._hearing = False
            self._events.speaking("user", active=False)
            await self._answer(line, str(message["words"]), time.monotonic())

    async def _answer(self, line: Line, words: str, heard_at: float) -> None:
        self.counted["turns_user"] += 1
        question = HumanMessage(words, id=f"turn-{self.counted['turns_user']}")
        self._events.turn("user", question.id)
        self._events.activity("processing")
        state = await self._graph.ainvoke({"messages": [question]}, self._config)
        said = state["messages"][-1]
        self._events.latency("llm_ttft_s", time.monotonic() - heard_at)
        self._events.usage(PROVIDER, MODEL, input_text_tokens=len(words.split()), characters=len(said.content))
        self.answers.append(str(said.content))
        self._events.speaking("agent")
        complete = await self._speak(line, str(said.content), heard_at)
        self._events.speaking("agent", active=False)
        self.counted["turns_agent"] += 1
        self._events.turn("agent", said.id)
        await line.send({"type": "turn", "complete": complete, "words": said.content})

    async def _speak(self, line: Line, text: str, heard_at: float) -> bool:
        """Sends an answer chunk by chunk; false if the caller cut in."""
        for number in range(max(5, len(text) // 2)):
            await asyncio.sleep(self._pace_s)
            if line.waiting:
                self.counted["interruptions"] += 1
                self._events.interrupted()
                return False
            audio = frame(number)
            await line.send(chunk(audio))
            self._spoken.update(audio)
            self.counted["chunks_out"] += 1
            self.counted["bytes_out"] += len(audio)
            self._events.chunk("out", len(audio), FRAME_S)
            if not number:
                self._events.latency("e2e_latency_s", time.monotonic() - heard_at)
        return True

    async def _stop(self, reason: str) -> None:
        thread = self._config.get("configurable", {}).get("thread_id", "")
        self._events.artifact(
            f"recordings://{thread}/agent.pcm",
            mime_type="audio/L16",
            size_bytes=self.counted["bytes_out"],
            duration_s=round(self.counted["chunks_out"] * FRAME_S, 3),
            sha256=self._spoken.hexdigest(),
        )
        self._events.activity("idle")
        await self._events.disconnected(reason)


async def hold_call(caller: Caller, agent: VoiceAgent) -> None:
    """Connects the two until the caller has said everything, with a new line whenever one breaks."""
    while not caller.done:
        await asyncio.sleep(_DIALLING * caller.pace_s if caller.lines else 0)
        near, far = Line.pair()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(agent.serve(far))
            tasks.create_task(caller.call(near))
