"""A condensation in the making: what stays, what goes, and how large the rest is.

Strategies edit a draft; what they can't do is to take a part of a unit or anything that a rule protects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_core.messages import BaseMessage

from langgraph_session_bridge.condense.marks import is_user
from langgraph_session_bridge.condense.rules import PinnedStay, Rule
from langgraph_session_bridge.condense.tokens import stored_bytes
from langgraph_session_bridge.condense.triggers import Goal, Unit
from langgraph_session_bridge.condense.units import Chat

if TYPE_CHECKING:
    from langgraph_session_bridge.condense.summarizing import SummaryRequest

Sizer = Callable[[Sequence[BaseMessage]], list[int]]

BYTES_PER_TOKEN = 5
"""For the room of a summary that is not written yet: four characters, and a little for the message around them."""


@dataclass(slots=True)
class Draft:
    """A chat with everything that strategies have decided so far.

    Attributes:
        chat: The messages.
        goal: When to condense, and down to what.
        rules: What must stay.
        tokens: Tells the tokens of messages.
        summaries: Whether a summary may be asked for.
        gone: For each message whether it goes.
        swaps: What stands in for a message, under the same id.
        reasons: Why, for messages that go or change.
        notes: What was not done, and why.
        request: The summary that is still to be written.
        room: What that summary may take, in each unit.
    """

    chat: Chat
    goal: Goal
    rules: Sequence[Rule]
    tokens: Sizer
    summaries: bool = True
    gone: list[bool] = field(default_factory=list)
    swaps: dict[int, BaseMessage] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    request: SummaryRequest | None = None
    room: dict[Unit, int] = field(default_factory=dict)
    _sizes: dict[Unit, list[int]] = field(default_factory=dict)
    _totals: dict[Unit, int] = field(default_factory=dict)
    _pinned: set[int] | None = None
    _pins: tuple[dict[int, str], dict[int, str]] | None = None

    def __post_init__(self) -> None:
        self.gone = [False] * len(self.chat.messages)

    # Sizes

    def sizes(self, unit: Unit) -> list[int]:
        """The size of each message as it is now."""
        if unit not in self._sizes:
            swaps, messages = self.swaps, self.chat.messages
            now = [swaps.get(i, m) for i, m in enumerate(messages)] if swaps else messages
            sizes = self._sizes[unit] = self._measured(unit, now)
            self._totals[unit] = sum(size for size, gone in zip(sizes, self.gone, strict=True) if not gone)
        return self._sizes[unit]

    def _measured(self, unit: Unit, messages: Sequence[BaseMessage]) -> list[int]:
        if unit == "messages":
            return [1] * len(messages)
        if unit == "turns":
            return [int(is_user(message)) for message in messages]
        if unit == "bytes":
            return [stored_bytes(message) for message in messages]
        return self.tokens(messages)

    def total(self, unit: Unit) -> int:
        """The size of all that stays."""
        self.sizes(unit)
        return self._totals[unit] + self.room.get(unit, 0)

    def over(self) -> int:
        """How much is still to go."""
        first = self.chat.first_user
        extra = self.goal.unit == "turns" and first is not None  # the first message stays beside the turns that stay
        return self.total(self.goal.unit) - self.goal.limit - int(extra)

    def fired(self) -> str | None:
        """What would start the condenser, with all that stays."""
        return self.goal.fired(self.total)

    def met(self) -> bool:
        """Whether nothing more has to be done."""
        return self.over() <= 0 and self.fired() is None

    # What must stay

    def pins(self) -> tuple[dict[int, str], dict[int, str]]:
        """Units that must stay, and units that go last, each with the name of the rule."""
        if self._pins is None:
            hard: dict[int, str] = {}
            soft: dict[int, str] = {}
            unit_of = self.chat.unit_of
            for rule in self.rules:
                for index in rule.protects(self.chat):
                    hard.setdefault(unit_of[index], rule.name)
                for index in rule.prefers(self.chat):
                    soft.setdefault(unit_of[index], rule.name)
            self._pins = hard, soft
        return self._pins

    def pinned(self) -> set[int]:
        """Units that someone pinned; nothing in them changes."""
        if self._pinned is None:
            rules = [rule for rule in self.rules if isinstance(rule, PinnedStay)]
            self._pinned = {self.chat.unit_of[index] for rule in rules for index in rule.protects(self.chat)}
        return self._pinned

    def removable(self) -> list[int]:
        """Units that may go, the oldest first."""
        hard, soft = self.pins()
        return [u for u in range(len(self.chat.units)) if u not in hard and u not in soft and not self._is_gone(u)]

    def last_resort(self) -> list[int]:
        """Units that may go if all others have gone and that was not enough, the oldest first."""
        hard, soft = self.pins()
        return [u for u in sorted(soft) if u not in hard and not self._is_gone(u)]

    def _is_gone(self, unit: int) -> bool:
        return self.gone[self.chat.units[unit][0]]

    # Edits

    def drop(self, units: Iterable[int], reason: str) -> list[int]:
        """Lets units go.

        Returns:
            Their messages.
        """
        dropped = sorted([index for unit in units for index in self.chat.units[unit]])
        for index in dropped:
            self.gone[index] = True
            self.reasons[index] = reason
        self._resize(dropped, -1)
        return dropped

    def _resize(self, indexes: Sequence[int], sign: int) -> None:
        for unit, sizes in self._sizes.items():
            self._totals[unit] += sign * sum([sizes[index] for index in indexes])

    def restore(self, indexes: Sequence[int]) -> None:
        """Takes back that messages go."""
        for index in indexes:
            self.gone[index] = False
            del self.reasons[index]
        self._resize(indexes, 1)

    def swap(self, index: int, message: BaseMessage, reason: str) -> None:
        """Lets a message stand for another one of the same id."""
        self.swaps[index] = message
        self.reasons[index] = reason
        for unit, sizes in self._sizes.items():
            size = self._measured(unit, [message])[0]
            self._totals[unit] += size - sizes[index]
            sizes[index] = size

    def messages(self) -> list[BaseMessage]:
        """What stays, as it is now."""
        swaps = self.swaps
        return [swaps.get(i, m) for i, m in enumerate(self.chat.messages) if not self.gone[i]]


def cut(draft: Draft, reason: str) -> list[int]:
    """Lets the oldest units go until the goal is met, and completed steps of the current turn only if they must.

    Returns:
        The messages that go.
    """
    over = draft.over()
    if over <= 0:
        return []
    removable = draft.removable()
    count = _enough(draft, removable, over)
    dropped = draft.drop(removable[: _aligned(draft, removable, count)], reason)
    over = draft.over()
    if over > 0 and draft.fired():
        inside = draft.last_resort()
        dropped += draft.drop(inside[: _enough(draft, inside, over)], f"{reason}; the turn alone is too large")
    return sorted(dropped)


def _enough(draft: Draft, units: list[int], over: int) -> int:
    sizes = draft.sizes(draft.goal.unit)
    for count, unit in enumerate(units, 1):
        over -= sum(sizes[index] for index in draft.chat.units[unit])
        if over <= 0:
            return count
    return len(units)


def _aligned(draft: Draft, units: list[int], count: int) -> int:
    """Goes on to where the user speaks next, so that no answer stays without its question, if that is not far.

    Far is more than half of what is to be kept; turns are counted as a whole anyway.
    """
    if not 0 < count < len(units):
        return count
    sizes, messages = draft.sizes(draft.goal.unit), draft.chat.messages
    spare = draft.goal.limit / 2
    for position in range(count, len(units)):
        unit = draft.chat.units[units[position]]
        if is_user(messages[unit[0]]):
            return position
        spare -= sum(sizes[index] for index in unit)
        if spare < 0 and draft.goal.unit != "turns":
            return count
    return len(units)
