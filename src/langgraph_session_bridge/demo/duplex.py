"""A line between two programs in one process: JSON messages both ways, as over a WebSocket, and it can break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Self

from langgraph_session_bridge.demo.watching import DemoError

_MOST_WAITING = 64


class LineLostError(DemoError):
    """The line broke: what was on its way is gone."""


class LineClosedError(DemoError):
    """The other end hung up."""


class Line:
    """One end. Who sends faster than the other end takes has to wait, as with a socket."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[str | None] = asyncio.Queue(_MOST_WAITING)
        self._other = self
        self._lost = False
        self._closed = False

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Both ends of a new line."""
        one, other = cls(), cls()
        one._other, other._other = other, one
        return one, other

    @property
    def waiting(self) -> bool:
        """Whether a message has arrived that was not taken."""
        return not self._arrived.empty()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Sends a message.

        Raises:
            LineLostError: The line is broken.
        """
        await self._other._put(json.dumps(message))
        self._check()

    async def receive(self) -> dict[str, Any]:
        """The next message.

        Raises:
            LineLostError: The line is broken.
            LineClosedError: The other end hung up, and everything it said was taken.
        """
        self._check()
        text = None if self._closed and not self.waiting else await self._arrived.get()
        self._check()
        if text is None:
            self._closed = True
            raise LineClosedError("The other end hung up.")
        found: dict[str, Any] = json.loads(text)
        return found

    async def close(self) -> None:
        """Hangs up."""
        await self._other._put(None)

    def drop(self) -> None:
        """Breaks the line at both ends."""
        for end in (self, self._other):
            end._lost = True
            while end.waiting:
                end._arrived.get_nowait()
            end._arrived.put_nowait(None)  # whoever waits for a message learns it

    async def _put(self, text: str | None) -> None:
        self._check()
        await self._arrived.put(text)

    def _check(self) -> None:
        if self._lost:
            raise LineLostError("The line broke.")
