"""What an agent was busy with, and when: phases, from the nodes that led to its checkpoints. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from pydantic import BaseModel, ConfigDict

from langgraph_session_bridge.sessions.reading.history import HistoryEntry

IDLE = "idle"
PhaseOf = Mapping[str, str] | Callable[[Sequence[str]], str | None]
"""Tells the phase of nodes that ran together, by the name of one or by a function."""


class Phase(BaseModel):
    """A time in which an agent was busy with one thing."""

    model_config = ConfigDict(frozen=True)

    name: str
    """As the application calls it; the names of the nodes where it does not, `idle` between two turns."""
    since: datetime
    until: datetime
    nodes: list[str] = []

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return (self.until - self.since).total_seconds()


def phases_of(history: Iterable[HistoryEntry], phase_of: PhaseOf | None = None) -> list[Phase]:
    """The phases of what led to the present state, oldest first; what follows on the same phase belongs to it.

    A step lasts from one checkpoint to the next, so its time includes that of storing them.

    Args:
        history: Checkpoints, newest first.
        phase_of: The application's names.
    """
    line = [(entry.at, entry) for entry in history if entry.is_current and entry.at is not None][::-1]
    found: list[Phase] = []
    for (since, _), (until, entry) in pairwise(line):
        nodes = [node for node in entry.nodes if not node.startswith("__")]
        name = IDLE if entry.source in ("input", "update", "fork") else _named(nodes, phase_of)
        if name is None:
            continue
        step = Phase(name=name, since=since, until=max(since, until), nodes=nodes)
        if found and found[-1].name == name and found[-1].until == step.since:
            both = list(dict.fromkeys([*found[-1].nodes, *nodes]))
            step = step.model_copy(update={"since": found[-1].since, "nodes": both})
            found.pop()
        found.append(step)
    return found


def _named(nodes: Sequence[str], phase_of: PhaseOf | None) -> str | None:
    if not nodes:
        return None
    told: str | None = None
    if callable(phase_of):
        told = phase_of(nodes)
    elif phase_of is not None:
        told = next((phase_of[node] for node in nodes if node in phase_of), None)
    return told or ", ".join(nodes)
