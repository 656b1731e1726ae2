"""Whether a thread that was killed and resumed ended as one that was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What is stored of a thread when its run is complete.

    Attributes:
        values: Its final state.
        steps: The super-step of each checkpoint, oldest first.
    """

    values: dict[str, Any]
    steps: list[int]

    @property
    def answer(self) -> str:
        """The last message."""
        messages = self.values.get("messages") or []
        return str(messages[-1].content) if messages else ""


def ending_of(saver: SessionBridgeSaver, thread_id: str) -> Ending:
    """Reads a thread, history included."""
    config: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    newest_first = list(saver.list(config))
    values = newest_first[0].checkpoint["channel_values"] if newest_first else {}
    return Ending(values=values, steps=[found.metadata.get("step", 0) for found in reversed(newest_first)])


def differences(killed: Ending, reference: Ending) -> list[str]:
    """Where the killed run ended differently."""
    found = [
        f"the final states differ in {name!r}"
        for name in sorted(killed.values.keys() | reference.values.keys())
        if killed.values.get(name) != reference.values.get(name)
    ]
    if killed.steps != reference.steps:
        found.append(f"the histories differ: steps {killed.steps} instead of {reference.steps}")
    return found


def gaps(killed: Ending) -> list[str]:
    """What is wrong with a run that nothing can be compared with: its history has to be whole."""
    if not killed.steps:
        return ["nothing is stored of the run"]
    whole = list(range(killed.steps[0], killed.steps[-1] + 1))
    return [] if killed.steps == whole else [f"the history is not whole: steps {killed.steps}"]
