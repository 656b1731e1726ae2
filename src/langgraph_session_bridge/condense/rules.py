"""What every condenser of this library keeps, as named objects; `validate` checks any list of messages with them.

A rule has two sides, both pure. `protects` tells the planner what must stay, and `broken` looks at a result. Which
messages belong together is in `units`; the planner removes units only, so a result always keeps its call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from langchain_core.messages import BaseMessage, SystemMessage

from langgraph_session_bridge.condense.marks import Pinned, covers, is_pinned, is_summary, key_of, role_of
from langgraph_session_bridge.condense.units import Chat


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that a list of messages breaks.

    Attributes:
        rule: Name of the rule.
        about: What it concerns: a message id or a call id.
        text: What is wrong, in words.
    """

    rule: str
    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


class Rule(Protocol):
    """A named promise about condensed messages."""

    @property
    def name(self) -> str:
        """Names the rule in violations and reasons."""
        ...

    def protects(self, chat: Chat) -> Iterable[int]:
        """Messages that must stay."""
        ...

    def prefers(self, chat: Chat) -> Iterable[int]:
        """Messages that go last, and only if what must stay would start the condenser again."""
        ...

    def broken(self, after: Chat, before: Chat | None) -> Iterator[Violation]:
        """What a result breaks; rules about what stays need the list `before`."""
        ...


@dataclass(frozen=True, slots=True)
class _Structure:
    def protects(self, chat: Chat) -> Iterable[int]:
        return ()

    def prefers(self, chat: Chat) -> Iterable[int]:
        return ()


@dataclass(frozen=True, slots=True)
class ResultHasCall(_Structure):
    """Every tool result has its call before it."""

    name: str = "result-has-call"

    def broken(self, after: Chat, before: Chat | None) -> Iterator[Violation]:
        """Results without a call."""
        for index in after.orphans:
            call = getattr(after.messages[index], "tool_call_id", "")
            yield Violation(self.name, call, f"the result of {call} has no call before it")


@dataclass(frozen=True, slots=True)
class CallHasResult(_Structure):
    """Every call has its result, but for those of the last message that the tools still work on."""

    name: str = "call-has-result"

    def broken(self, after: Chat, before: Chat | None) -> Iterator[Violation]:
        """Calls without a result that something else came after."""
        for call in after.unresolved:
            if not _in_flight(after, call.owner):
                yield Violation(self.name, call.id, f"the call {call.id} has no result")


@dataclass(frozen=True, slots=True)
class NoDanglingEnd(_Structure):
    """The list does not end in calls that nobody answered."""

    name: str = "no-dangling-end"

    def broken(self, after: Chat, before: Chat | None) -> Iterator[Violation]:
        """Unanswered calls of the last message."""
        for call in after.unresolved:
            if _in_flight(after, call.owner):
                yield Violation(self.name, call.id, f"the list ends with the unanswered call {call.id}")


@dataclass(frozen=True, slots=True)
class ResultOnce(_Structure):
    """No call has two results."""

    name: str = "result-once"

    def broken(self, after: Chat, before: Chat | None) -> Iterator[Violation]:
        """Second results."""
        for index in after.doubled:
            call = getattr(after.messages[index], "tool_call_id", "")
            yield Violation(self.name, f"{call}/{after.messages[index].id}", f"the call {call} has a second result")


@dataclass(frozen=True, slots=True)
class StartsAllowed(_Structure):
    """The first message has a role that models accept there, or the one that the list began with."""

    roles: frozenset[str] = frozenset({"system", "human"})
    name: str = "starts-allowed"

    def broken(self, after: Chat, before: Chat | None) -> Iterator[Violation]:
        """A first message (system messages aside) of any other role."""
        start = _start(after)
        if start is None or role_of(start) in self.roles or is_summary(start):
            return
        was = _start(before) if before else None
        if was is None or role_of(was) != role_of(start):
            yield Violation(self.name, str(start.id), f"the list starts with a message of type {start.type!r}")


@dataclass(frozen=True, slots=True)
class UnitsWhole(_Structure):
    """Parallel calls and all their results stay or go together."""

    name: str = "units-whole"

    def broken(self, after: Chat, before: Chat | None) -> Iterator[Violation]:
        """Units of which only a part is left."""
        if before is None:
            return
        left = set(after.keys())
        keys = before.keys()
        for unit in before.units:
            there = [keys[index] in left for index in unit]
            if any(there) and not all(there):
                missing = ", ".join(str(keys[index]) for index, found in zip(unit, there, strict=True) if not found)
                yield Violation(self.name, str(keys[unit[0]]), f"of one step with its tools, {missing} is missing")


@dataclass(frozen=True, slots=True)
class _Pin:
    def protects(self, chat: Chat) -> Iterable[int]:
        raise NotImplementedError

    def prefers(self, chat: Chat) -> Iterable[int]:
        return ()

    def broken(self, after: Chat, before: Chat | None) -> Iterator[Violation]:
        if before is None:
            return
        left = set(after.keys())
        for index in self.protects(before):
            message = before.messages[index]
            if key_of(message) not in left:
                name: str = self.name  # type: ignore[attr-defined]
                yield Violation(name, str(message.id), f"the {message.type} message {message.id} is missing")


@dataclass(frozen=True, slots=True)
class UnresolvedStay(_Pin):
    """Nothing unresolved is cut: the result may still come."""

    name: str = "unresolved-stay"

    def protects(self, chat: Chat) -> Iterable[int]:
        """Messages with unanswered calls."""
        return [call.owner for call in chat.unresolved]


@dataclass(frozen=True, slots=True)
class SystemStays(_Pin):
    """The system message stays: those at the beginning, or with `everywhere` all of them."""

    everywhere: bool = False
    name: str = "system-stays"

    def protects(self, chat: Chat) -> Iterable[int]:
        """System messages."""
        if not self.everywhere:
            return chat.heads
        return [index for index, message in enumerate(chat.messages) if isinstance(message, SystemMessage)]


@dataclass(frozen=True, slots=True)
class FirstUserStays(_Pin):
    """The user's first message, which is the task, stays; one larger than the bound is shortened in the middle."""

    max_tokens: int = 1000
    name: str = "first-user-stays"

    def protects(self, chat: Chat) -> Iterable[int]:
        """The first message of the user."""
        return chat.users[:1]


@dataclass(frozen=True, slots=True)
class CurrentTurnStays(_Pin):
    """The current question and the latest step stay always; the rest of the turn goes last.

    Unless `whole`, completed steps of a turn that alone would start the condenser again may go, the oldest first:
    an agent that works on one question for hundreds of steps has no other history.
    """

    whole: bool = False
    name: str = "current-turn-stays"

    def protects(self, chat: Chat) -> Iterable[int]:
        """The question and the latest step, or everything from the question on."""
        if self.whole:
            return chat.turn
        last = chat.units[chat.unit_of[-1]] if chat.units else ()
        return sorted({*chat.question, *last})

    def prefers(self, chat: Chat) -> Iterable[int]:
        """The rest of the turn."""
        return chat.turn


@dataclass(frozen=True, slots=True)
class PinnedStay(_Pin):
    """Pinned messages stay; `pinned` tells which, otherwise those that `pin` marked."""

    pinned: Pinned = is_pinned
    name: str = "pinned-stay"

    def protects(self, chat: Chat) -> Iterable[int]:
        """Pinned messages."""
        return [index for index, message in enumerate(chat.messages) if self.pinned(message)]


@dataclass(frozen=True, slots=True)
class SummariesStay(_Pin):
    """Earlier summaries stay, or went into a later one that says so."""

    name: str = "summaries-stay"

    def protects(self, chat: Chat) -> Iterable[int]:
        """Summaries."""
        return chat.summaries

    def broken(self, after: Chat, before: Chat | None) -> Iterator[Violation]:
        """Summaries that are neither there nor covered."""
        covered = {name for index in after.summaries for name in covers(after.messages[index])}
        for violation in _Pin.broken(self, after, before):
            if violation.about not in covered:
                yield violation


RULES: tuple[Rule, ...] = (
    ResultHasCall(),
    CallHasResult(),
    ResultOnce(),
    UnitsWhole(),
    UnresolvedStay(),
    NoDanglingEnd(),
    SystemStays(),
    FirstUserStays(),
    CurrentTurnStays(),
    PinnedStay(),
    SummariesStay(),
    StartsAllowed(),
)
"""The rules that hold unless others are given."""


def validate(
    messages: Sequence[BaseMessage],
    *,
    before: Sequence[BaseMessage] | None = None,
    rules: Sequence[Rule] = RULES,
) -> list[Violation]:
    """Checks a list of messages.

    Args:
        messages: What to check: alone, as a model would get it, or as what a condenser made of `before`.
        before: What it was made of. What was broken there already (a call in flight, say) is not reported.
        rules: What to check.
    """
    after = Chat.of(messages)
    if before is None:
        return [violation for rule in rules for violation in rule.broken(after, None)]
    was = Chat.of(before)
    known = {(v.rule, v.about) for rule in rules for v in rule.broken(was, None)}
    found = (violation for rule in rules for violation in rule.broken(after, was))
    return [violation for violation in found if (violation.rule, violation.about) not in known]


def _in_flight(chat: Chat, owner: int) -> bool:
    """Whether only results of its own came after a message with calls."""
    unit = chat.units[chat.unit_of[owner]]
    return len(chat.messages) - owner == len(unit) - unit.index(owner)


def _start(chat: Chat) -> BaseMessage | None:
    return next((m for m in chat.messages if not isinstance(m, SystemMessage)), None)
