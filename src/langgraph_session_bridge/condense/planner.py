"""From messages to a plan, without I/O: whether it is time, what goes, what must stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import BaseMessage

from langgraph_session_bridge.condense.draft import Draft, Sizer
from langgraph_session_bridge.condense.marks import mark_of, marked
from langgraph_session_bridge.condense.plan import CondensationPlan, nothing, plan_of
from langgraph_session_bridge.condense.rules import FirstUserStays, Rule
from langgraph_session_bridge.condense.strategies import OMITTED, Strategy, shortened, text_of
from langgraph_session_bridge.condense.tokens import CHARS_PER_TOKEN
from langgraph_session_bridge.condense.triggers import Goal, Unit
from langgraph_session_bridge.condense.units import Chat


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Makes plans.

    Attributes:
        strategy: What is done.
        goal: When, and down to what.
        rules: What must stay.
        tokens: Tells the tokens of messages.
        min_progress: Share of the messages or of their tokens that must go, or nothing is done.
    """

    strategy: Strategy
    goal: Goal
    rules: Sequence[Rule]
    tokens: Sizer
    min_progress: float

    def plan(self, messages: Sequence[BaseMessage], *, summaries: bool = True) -> CondensationPlan:
        """What to do about a list of messages.

        Args:
            messages: The messages.
            summaries: Whether a summary may be asked for.
        """
        draft = Draft(Chat.of(messages), self.goal, self.rules, self.tokens, summaries)
        trigger = draft.fired()
        if trigger is None:
            return nothing(messages)
        before: dict[Unit, int] = {unit: draft.total(unit) for unit in ("tokens", self.goal.unit)}
        self._bound_first_user(draft)
        self.strategy.edit(draft)
        plan = plan_of(draft, trigger, self.strategy.name, before["tokens"])
        if plan and _progress(draft, before) < self.min_progress:
            return nothing(messages, *draft.notes, f"less than {self.min_progress:.0%} would be gained")
        return plan

    def _bound_first_user(self, draft: Draft) -> None:
        """Shortens a first message that is too large; it is the task, so it stays."""
        bound = next((rule.max_tokens for rule in self.rules if isinstance(rule, FirstUserStays)), None)
        first = draft.chat.first_user
        if bound is None or first is None or draft.sizes("tokens")[first] <= bound:
            return
        message = draft.chat.messages[first]
        fixed = first in draft.chat.question or draft.chat.unit_of[first] in draft.pinned()
        if fixed or mark_of(message).get("kind") == "bounded":
            return
        text = text_of(message)
        chars = max(len(OMITTED) + 40, int(bound * CHARS_PER_TOKEN) - 40)
        note = marked(message, shortened(text, chars), kind="bounded", chars=len(text))
        draft.swap(first, note, "first message of the user, bounded")


def _progress(draft: Draft, before: dict[Unit, int]) -> float:
    return max((was - draft.total(unit)) / was if was else 0.0 for unit, was in before.items())
