"""Condensing where the graph can't be changed: what a saver may do to the messages that it is about to store."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.plan import CondensationPlan, nothing
from langgraph_session_bridge.condense.units import Chat


def guarded(condenser: Condenser, messages: Sequence[BaseMessage], *, waiting: bool = False) -> CondensationPlan:
    """What a saver may trim: nothing while someone is waited for or tools work, and never what takes a model call.

    Args:
        condenser: What to do. Summaries are left out: a saver calls no model.
        messages: The value of the channel.
        waiting: Whether the checkpoint has interrupts that nobody answered.
    """
    if waiting:
        return nothing(messages, "the thread waits for a human")
    if Chat.of(messages).unresolved:
        return nothing(messages, "tools are at work")
    return condenser.plan_without_model(messages)
