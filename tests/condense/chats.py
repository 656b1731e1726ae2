"""Tool-using chats by shape: parallel calls whose results come back in any order, turns in flight, pins, oddities.

A shape comes from Hypothesis (which shrinks it) or from a seed (for the benchmark's ten thousand).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, permutations
from random import Random
from typing import Any

from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langgraph_session_bridge.condense.marks import pin
from langgraph_session_bridge.condense.summaries import summary_message

TEXT = "the order was shipped to Lisbon on Monday and refund 4711 is open because nobody signed for it " * 8
ORDERS = {size: list(permutations(range(size))) for size in range(1, 5)}
ODD = ("", "doubled result", "interleaved", "abandoned", "two questions", "summary before", "greeting")


@dataclass(frozen=True)
class Step:
    """Parallel calls: in which order their results come, and how long each is."""

    order: tuple[int, ...] = (0,)
    chars: int = 40


@dataclass(frozen=True)
class Turn:
    """A question, steps with tools, an answer."""

    question: int = 20
    steps: Sequence[Step] = ()
    answer: int = 40
    odd: str = ""
    pinned: int | None = None


@dataclass(frozen=True)
class Shape:
    """A chat; `in_flight` results of the last step's calls are there, the others to come."""

    turns: Sequence[Turn]
    system: int = 30
    in_flight: int | None = None
    last: Step = field(default_factory=Step)


def built(shape: Shape) -> list[BaseMessage]:
    """The messages of a shape."""
    ids = count(1)
    messages: list[BaseMessage] = [SystemMessage(TEXT[: shape.system], id="system")] if shape.system else []
    for turn in shape.turns:
        told = _turn(turn, ids)
        if turn.pinned is not None:
            told[turn.pinned % len(told)] = pin(told[turn.pinned % len(told)])
        messages += told
    if shape.in_flight is not None:
        messages.append(HumanMessage(TEXT[:20], id=f"m{next(ids)}"))
        messages += _step(shape.last, ids)[: 1 + shape.in_flight % len(shape.last.order)]
    return messages


def _turn(turn: Turn, ids: count[int]) -> list[BaseMessage]:
    told: list[BaseMessage] = []
    if turn.odd == "greeting":
        told.append(AIMessage("How may I help?", id=f"m{next(ids)}"))
    if turn.odd == "summary before":
        told.append(summary_message(TEXT[:60], f"old{next(ids)}", [], 9))
    questions = 2 if turn.odd == "two questions" else 1
    told += [HumanMessage(TEXT[: turn.question], id=f"m{next(ids)}") for _ in range(questions)]
    for step in turn.steps:
        told += _step(step, ids)
    if turn.odd == "interleaved":
        one, two = _step(Step(), ids), _step(Step(), ids)
        told += [one[0], two[0], one[1], two[1]]
    if turn.odd == "abandoned":
        told += _step(Step((1, 0)), ids)[:-1]  # one call was never answered, and the user went on
    if turn.odd == "doubled result" and isinstance(told[-1], ToolMessage):
        told.append(told[-1].model_copy(update={"id": f"m{next(ids)}"}))  # run again after a crash
    if turn.answer:
        told.append(AIMessage(TEXT[: turn.answer], id=f"m{next(ids)}"))
    return told


def _step(step: Step, ids: count[int]) -> list[BaseMessage]:
    calls: list[Any] = [
        {"name": "lookup", "args": {"query": "4711"}, "id": f"c{next(ids)}", "type": "tool_call"} for _ in step.order
    ]
    results = [ToolMessage(TEXT[: step.chars], tool_call_id=call["id"], name="lookup") for call in calls]
    told: list[BaseMessage] = [AIMessage("", tool_calls=calls), *(results[place] for place in step.order)]
    return [message.model_copy(update={"id": f"m{next(ids)}"}) for message in told]


steps = st.builds(
    Step, order=st.sampled_from([o for orders in ORDERS.values() for o in orders]), chars=st.integers(1, 600)
)
turns = st.builds(
    Turn,
    question=st.integers(1, 150),
    steps=st.lists(steps, max_size=3),
    answer=st.integers(0, 200),
    odd=st.sampled_from(ODD),
    pinned=st.none() | st.integers(0, 9),
)
shapes = st.builds(
    Shape,
    turns=st.lists(turns, min_size=1, max_size=12),
    system=st.integers(0, 100),
    in_flight=st.none() | st.integers(0, 3),
    last=steps,
)


def shape_of(random: Random, *, odd: float = 0.15, pinned: float = 0.1) -> Shape:
    """A shape by chance: 3-14 turns with 0-3 steps of 1-4 parallel calls."""
    return Shape(
        turns=[
            Turn(
                question=random.randint(10, 180),
                steps=[step_of(random) for _ in range(random.randint(0, 3))],
                answer=random.randint(15, 250) if random.random() < 0.95 else 0,
                odd=random.choice(ODD) if random.random() < odd else "",
                pinned=random.randint(0, 9) if random.random() < pinned else None,
            )
            for _ in range(random.randint(3, 14))
        ],
        system=random.randint(20, 120),
        in_flight=random.randint(0, 3) if random.random() < 0.3 else None,
        last=step_of(random),
    )


def step_of(random: Random) -> Step:
    """Parallel calls by chance."""
    return Step(random.choice(ORDERS[random.randint(1, 4)]), random.randint(5, 700))
