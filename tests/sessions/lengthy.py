"""A long session: hundreds of turns, of which a condenser leaves the last few in the state."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, StateGraph

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.strategies import RecentMessages
from sessions.storied import State


async def talk_long(bridge: SessionBridge, session_id: str, turns: int) -> None:
    """Says something so many times, and is answered."""

    def answer(state: State) -> State:
        number = state["messages"][-1].content
        return {"messages": [AIMessage(f"This is what I found on {number}. " * 10, id=f"a{number}")]}

    condenser = Condenser(
        trigger=("messages", 40), keep=("messages", 20), archive=bridge.archive, strategy=RecentMessages()
    )
    builder = StateGraph(State)
    builder.add_node("condense", condenser)
    builder.add_node("answer", answer)
    builder.add_edge(START, "condense")
    builder.add_edge("condense", "answer")
    builder.add_edge("answer", END)
    graph: Any = builder.compile(checkpointer=bridge.saver)
    await bridge.sessions.create(session_id)
    for turn in range(turns):
        said = {"messages": [HumanMessage(str(turn), id=f"u{turn}")]}
        await graph.ainvoke(said, bridge.config(session_id), durability="exit" if turn % 10 else "async")
    await bridge.sessions._context.follower.settle(session_id)
