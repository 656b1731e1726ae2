"""Who calls the simulated voice agent: speaks by script, cuts in, loses the line in the middle, and dials again."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph_session_bridge.demo.duplex import Line, LineLostError
from langgraph_session_bridge.demo.watching import DemoError

SAMPLE_RATE_HZ, FRAME_S = 16_000, 0.02
FRAME_BYTES = int(SAMPLE_RATE_HZ * FRAME_S) * 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """What the caller says.

    Attributes:
        text: The words.
        chunks: How long it takes, in chunks of 20 ms.
        cuts_in_after: Begins after so many chunks of the answer before; `None` hears it out.
        drops_after: The line breaks after so many chunks, once; it is said again on the next line.
    """

    text: str
    chunks: int = 25
    cuts_in_after: int | None = None
    drops_after: int | None = None


SCRIPT = (
    Utterance(text="Hello, I would like to book a table."),
    Utterance(text="For four people, on Friday.", chunks=40, drops_after=15),
    Utterance(text="At eight o'clock."),
    Utterance(text="No, wait, at seven.", chunks=15, cuts_in_after=5),
    Utterance(text="Thank you, goodbye.", chunks=20),
)


@dataclass(kw_only=True)
class Caller:
    """Speaks the script, over as many lines as it takes.

    Attributes:
        script: What is said.
        pace_s: The time between two chunks; 0 speaks as fast as the line takes.
        heard: The agent's answers: the words, and whether they were spoken to the end.
        chunks_heard: How many chunks of them arrived.
        lines: How many lines it took.
    """

    script: Sequence[Utterance] = SCRIPT
    pace_s: float = 0.0
    heard: list[tuple[str, bool]] = field(default_factory=list)
    chunks_heard: int = 0
    lines: int = 0
    _handle: str | None = None
    _said: int = 0
    _owed: int = 0
    _dropped: set[int] = field(default_factory=set)

    @property
    def done(self) -> bool:
        """Whether everything was said and answered."""
        return self._said == len(self.script) and not self._owed

    async def call(self, line: Line) -> None:
        """Says what is left of the script; ends early if the line breaks.

        Raises:
            DemoError: The agent does not know the session.
        """
        self.lines += 1
        self._owed = 0
        try:
            await self._begin(line)
            while not self.done:
                await self._say(line, self.script[self._said])
                self._said += 1
                self._owed += 1
                await self._listen(line)
            await line.send({"type": "stop", "reason": "goodbye"})
        except LineLostError:
            return

    async def _begin(self, line: Line) -> None:
        names = {"type": "start", "transport": "websocket", "stream_id": f"line-{self.lines}", "resume": self._handle}
        audio = {"media_format": "raw/lpcm16", "sample_rate_hz": SAMPLE_RATE_HZ, "channels": 1, "bit_depth": 16}
        await line.send({**names, **audio, "frame_ms": 1_000 * FRAME_S})
        answer = await line.receive()
        if answer["type"] != "started":
            raise DemoError(str(answer.get("message")))
        self._handle = str(answer["handle"])

    async def _say(self, line: Line, utterance: Utterance) -> None:
        for number in range(utterance.chunks):
            if number == utterance.drops_after and self._said not in self._dropped:
                self._dropped.add(self._said)
                line.drop()
            words = {"words": utterance.text} if number == utterance.chunks - 1 else {}
            await line.send({**chunk(frame(number)), **words})
            await asyncio.sleep(self.pace_s)

    async def _listen(self, line: Line) -> None:
        """Hears out the answers that are owed, or until it is time to cut in."""
        following = self.script[self._said] if self._said < len(self.script) else None
        chunks = 0
        while self._owed:
            message = await line.receive()
            if message["type"] == "turn":
                self._owed -= 1
                self.heard.append((str(message["words"]), bool(message["complete"])))
                continue
            chunks += 1
            self.chunks_heard += 1
            if following is not None and chunks == following.cuts_in_after:
                return


def frame(number: int) -> bytes:
    """20 ms of sound that nobody would want to hear."""
    return bytes((0x7E, number % 256)) * (FRAME_BYTES // 2)


def chunk(audio: bytes) -> dict[str, Any]:
    """The message that carries audio."""
    return {"type": "audio_chunk", "data": base64.b64encode(audio).decode(), "duration_s": FRAME_S}
