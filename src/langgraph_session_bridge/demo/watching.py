"""What the demo tells while it runs, and how it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from langgraph_session_bridge.errors import SessionBridgeError


class DemoError(SessionBridgeError, RuntimeError):
    """A worker of the demo failed; the message holds what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoEvent:
    """One thing that happened.

    Attributes:
        kind: `servers`, `reference`, `step`, `kill` or `resume`.
        text: What to show.
        step: Super-step, where there is one.
    """

    kind: Literal["servers", "reference", "step", "kill", "resume"]
    text: str
    step: int | None = None


Tell = Callable[[DemoEvent], None]
