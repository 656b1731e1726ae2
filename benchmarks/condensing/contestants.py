"""Ours and the others, each as a function from messages to messages, and each with the same budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import BaseMessage, trim_messages
from langchain_core.messages.utils import count_tokens_approximately
from langgraph.graph.message import add_messages

from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.strategies import (
    NoOp,
    Pipeline,
    RecentMessages,
    Strategy,
    ToolResultMasking,
    ToolResultTruncation,
)
from langgraph_session_bridge.condense.summarizing import Summarizing
from langgraph_session_bridge.condense.triggers import Size

Messages = list[BaseMessage]
SUMMARY = "The user asked about order 4711."


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One way to condense.

    Attributes:
        name: What it is.
        package: Where it comes from; empty for ours.
        run: Condenses.
        by_tokens: Whether it knows the budget in tokens.
    """

    name: str
    package: str
    run: Callable[[Messages], Messages]
    by_tokens: bool = True


def summarizer(messages: Sequence[BaseMessage]) -> str:
    """The same summary for everyone, at once: what is measured is the condenser."""
    return SUMMARY


def ours(budget: int) -> list[Contestant]:
    """Every strategy of this library, and pipelines of them."""
    strategies: dict[str, Strategy] = {
        "RecentMessages": RecentMessages(),
        "ToolResultMasking": ToolResultMasking(keep_results=2),
        "ToolResultTruncation": ToolResultTruncation(max_chars=120),
        "Summarizing": Summarizing(summarizer),
        "masking → recent": Pipeline(ToolResultMasking(keep_results=2), RecentMessages()),
        "truncation → masking → summarizing": Pipeline(
            ToolResultTruncation(max_chars=120), ToolResultMasking(keep_results=2), Summarizing(summarizer)
        ),
        "summarizing → recent": Pipeline(Summarizing(summarizer), RecentMessages()),
        "NoOp": NoOp(),
    }
    alone = ("ToolResultMasking", "ToolResultTruncation", "NoOp")
    half: Size = ("tokens", budget // 2)
    found = [_our(name, strategy, budget, half, by_tokens=name not in alone) for name, strategy in strategies.items()]
    return [*found, _our("Summarizing, 6 messages", Summarizing(summarizer), budget, ("messages", 6), by_tokens=False)]


def _our(name: str, strategy: Strategy, budget: int, keep: Size, *, by_tokens: bool) -> Contestant:
    condenser = Condenser(strategy, trigger=("tokens", budget), keep=keep, archive=None)

    def run(messages: Messages) -> Messages:
        plan = condenser.condense(messages)
        return add_messages(messages, plan.update()["messages"]) if plan else messages

    return Contestant(name=name, package="", run=run, by_tokens=by_tokens)


def peers(budget: int) -> tuple[list[Contestant], dict[str, str]]:
    """The others, and which are left out and why."""
    found, left_out = _trimming(budget), dict[str, str]()
    for package, make in {"langchain": _langchain, "langmem": _langmem, "agentstate-reducer": _reducer}.items():
        try:
            found += make(budget)
        except ImportError as error:
            left_out[package] = str(error)
    return found, left_out


def versions() -> dict[str, str]:
    """What is installed."""
    found = {}
    for package in ("langchain-core", "langchain", "langgraph", "langmem", "agentstate-reducer"):
        try:
            found[package] = version(package)
        except ImportError:
            continue
    return found


def _trimming(budget: int) -> list[Contestant]:
    plain: dict[str, Any] = {"max_tokens": budget, "token_counter": count_tokens_approximately, "strategy": "last"}
    careful = {**plain, "start_on": "human", "include_system": True}
    return [
        Contestant(name="trim_messages", package="langchain-core", run=lambda m: trim_messages(m, **plain)),
        Contestant(
            name="trim_messages, human, system", package="langchain-core", run=lambda m: trim_messages(m, **careful)
        ),
    ]


def _langchain(budget: int) -> list[Contestant]:
    from langchain.agents.middleware import SummarizationMiddleware
    from langchain.agents.middleware.context_editing import ClearToolUsesEdit

    model = FakeListChatModel(responses=[SUMMARY])

    def summarization(keep: Any) -> Callable[[Messages], Messages]:
        middleware = SummarizationMiddleware(model, trigger=("tokens", budget), keep=keep, summarizer=summarizer)

        def run(messages: Messages) -> Messages:
            update = middleware.before_model({"messages": messages}, None)  # type: ignore[arg-type,typeddict-item]
            return messages if update is None else add_messages(messages, update["messages"])

        return run

    edit = ClearToolUsesEdit(trigger=budget, keep=2)

    def clear(messages: Messages) -> Messages:
        edited = deepcopy(messages)  # as the middleware does
        edit.apply(edited, count_tokens=count_tokens_approximately)  # type: ignore[arg-type]
        return edited

    name = "SummarizationMiddleware"
    return [
        Contestant(
            name=f"{name}, 6 messages", package="langchain", run=summarization(("messages", 6)), by_tokens=False
        ),
        Contestant(name=f"{name}, half", package="langchain", run=summarization(("tokens", budget // 2))),
        Contestant(name="ContextEditingMiddleware", package="langchain", run=clear, by_tokens=False),
    ]


def _langmem(budget: int) -> list[Contestant]:
    from langmem.short_term import SummarizationNode

    node = SummarizationNode(
        model=FakeListChatModel(responses=[SUMMARY]),
        max_tokens=budget,
        max_summary_tokens=64,
        token_counter=count_tokens_approximately,
        input_messages_key="messages",
        output_messages_key="summarized",
    )
    last: dict[str, Any] = {"messages": [], "context": {}}

    def run(messages: Messages) -> Messages:
        context = last["context"] if messages == last["messages"] else {}  # a second pass goes on with its state
        update = node.invoke({"messages": messages, "context": context})
        last.update(messages=add_messages([], update["summarized"]), context=update.get("context", {}))
        return list(last["messages"])

    return [Contestant(name="SummarizationNode", package="langmem", run=run)]


def _reducer(budget: int) -> list[Contestant]:
    from agentstate_reducer import MessageReducer, ReducerConfig

    def counted(message: Any) -> int:
        return count_tokens_approximately([message])

    tokens = MessageReducer(config=ReducerConfig(max_tokens=budget, target_tokens=budget // 2, token_counter=counted))
    messages = MessageReducer(min_messages=6, max_messages=12)
    return [
        Contestant(name="MessageReducer, tokens", package="agentstate-reducer", run=lambda m: _reduced(tokens, m)),
        Contestant(
            name="MessageReducer, messages",
            package="agentstate-reducer",
            run=lambda m: _reduced(messages, m),
            by_tokens=False,
        ),
    ]


def _reduced(reducer: Any, messages: Messages) -> Messages:
    found: Messages = list(reducer.reduce(existing=messages, new=[]).surviving)
    return found
