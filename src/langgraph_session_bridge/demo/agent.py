"""The repository assistant: a LangGraph agent loop in which every tool call is a task of its own."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command, Send

QUESTION = "What is in this directory, which parts carry it, and how does it handle failure?"

_SHOWN = 48

Watch = Callable[[int, str, str], None]
"""Told what begins: super-step, node, and what is done there."""


class Conversation(TypedDict):
    """The state. `turns` counts: a step that was applied twice would show."""

    messages: Annotated[list[AnyMessage], add_messages]
    turns: Annotated[int, operator.add]


def opening() -> Conversation:
    """The input of a run."""
    return {"messages": [HumanMessage(QUESTION, id="question")], "turns": 0}


def build_agent(
    model: Runnable[LanguageModelInput, AIMessage],
    tools: Sequence[BaseTool],
    checkpointer: BaseCheckpointSaver[str],
    watch: Watch,
) -> CompiledStateGraph[Conversation, None, Conversation, Conversation]:
    """Compiles the graph: ask the model, run its tool calls side by side, until it makes none."""

    def ask(state: Conversation, config: RunnableConfig) -> dict[str, Any]:
        watch(_step(config), "model", "thinks")
        return {"messages": [model.invoke(state["messages"], config)], "turns": 1}

    def call(request: ToolCallRequest, execute: Callable[[ToolCallRequest], ToolMessage | Command[Any]]) -> Any:
        watch(_step(request.runtime.config), "tools", _shown(request))
        answer = execute(request)
        if isinstance(answer, ToolMessage):
            answer.id = f"result-{answer.tool_call_id}"  # the reducer would make up another one in each run
        return answer

    builder = StateGraph(Conversation)
    builder.add_node("model", ask)
    builder.add_node("tools", ToolNode(tools, handle_tool_errors=True, wrap_tool_call=call))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", _after_model, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=checkpointer)


def _after_model(state: Conversation) -> list[Send] | str:
    calls = getattr(state["messages"][-1], "tool_calls", [])
    return [Send("tools", [call]) for call in calls] or END


def _step(config: RunnableConfig) -> int:
    return int(config.get("metadata", {}).get("langgraph_step", 0))


def _shown(request: ToolCallRequest) -> str:
    arguments = ", ".join(str(value) for value in request.tool_call["args"].values())
    shown = arguments if len(arguments) <= _SHOWN else arguments[: _SHOWN - 1] + "…"
    return f"{request.tool_call['name']}({shown})"
