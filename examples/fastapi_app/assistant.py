"""The graph of the service: it answers, and asks back before it books anything. Put your agent in its place."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import interrupt


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def answer(state: State) -> dict[str, Any]:
    """Answers the last message."""
    said = str(state["messages"][-1].content)
    if said == "fail":
        raise ValueError("the assistant failed, as it was told")
    if said.startswith("book "):
        agreed = interrupt({"question": f"Shall I {said}?"})
        return {"messages": [AIMessage("Booked." if agreed == "yes" else "Then not.")]}
    questions = sum(message.type == "human" for message in state["messages"])
    return {"messages": [AIMessage(f"{questions}. You said: {said}")]}


def build(saver: BaseCheckpointSaver[Any]) -> Any:
    """The compiled graph."""
    builder = StateGraph(State)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=saver)
