"""A session in which a lot happens: what a timeline and its formats have to show."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.strategies import RecentMessages
from langgraph_session_bridge.sessions.export.entries import Entry

API_KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
HOSTILE = "</script><script>document.title = 'taken over'</script><img src=x onerror=alert(1)>"
ARABIC = "هل وصلت الطلبية رقم 4711؟ 📦"
EMOJI = "👩🏽‍🚀 Merci, c’est très gentil! 谢谢 🙏"
PASSWORD = "correct-horse-battery"


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    outage: bool


@tool
async def find_order(order_id: str) -> str:
    """Finds an order."""
    await asyncio.sleep(0.03)
    return f'{{"order": "{order_id}", "state": "in transit", "html": "{HOSTILE if order_id == "4711" else ""}"}}'


@tool
async def search_knowledge(query: str, api_key: str = API_KEY) -> str:
    """Searches the knowledge base."""
    await asyncio.sleep(0.05)
    return "Parcels that are late by more than five days may be refunded. See policy 12.\n" * 3


@tool
async def courier_status(parcel: str) -> str:
    """Asks the courier."""
    await asyncio.sleep(0.02)
    raise TimeoutError("the courier did not answer within 30 s")


@tool
async def refund(order_id: str, amount: float) -> str:
    """Pays money back, once somebody agreed."""
    answer = interrupt({"question": f"Refund {amount:.2f} € for order {order_id}?"})
    await asyncio.sleep(0.02)
    return f"refunded {amount:.2f} € ({answer})"


def call(name: str, number: int, **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": f"call_{number}", "type": "tool_call"}


def said(text: str, *calls: dict[str, Any], tokens: int = 420) -> AIMessage:
    usage = {"input_tokens": tokens, "output_tokens": 64, "total_tokens": tokens + 64}
    about = {"model_name": "support-1"}
    return AIMessage(text, tool_calls=list(calls), usage_metadata=usage, response_metadata=about)  # type: ignore[arg-type]


def script(order: str) -> Iterator[AIMessage]:
    yield said(
        "I’ll look at your order and at what our policy says.",
        call("find_order", 1, order_id=order),
        call("search_knowledge", 2, query="late parcel", api_key=API_KEY),
    )
    yield said("It is in transit. Let me ask the courier where exactly.", call("courier_status", 3, parcel="P-99"))
    yield said("The courier does not answer at the moment. Shall I refund the delivery costs?", tokens=810)
    yield said("", call("refund", 4, order_id=order, amount=7.9), tokens=1020)
    yield said("Done: 7.90 € are on their way back to you. Is there anything else?", tokens=1180)
    yield said(f"Thank you! {EMOJI}", tokens=1210)
    number = 0
    while True:
        number += 1
        yield said(f"Of course. Here is the answer to your question {number}.", tokens=600)


def storied_graph(bridge: SessionBridge, *, order: str = "4711", most: int = 12, keep: int = 6) -> Any:
    """An agent with tools, one of which asks first, and a condenser."""
    model = GenericFakeChatModel(messages=script(order))
    outages = [True]

    async def agent(state: State, config: RunnableConfig) -> State:
        if state.get("outage") and outages:
            outages.pop()
            raise ConnectionError("the model's provider closed the connection")
        await asyncio.sleep(0.02)
        return {"messages": [await model.ainvoke(state["messages"], config)]}

    def after(state: State) -> str:
        message = state["messages"][-1]
        return "tools" if isinstance(message, AIMessage) and message.tool_calls else END

    tools = ToolNode([find_order, search_knowledge, courier_status, refund], handle_tool_errors=True)
    condenser = Condenser(
        trigger=("messages", most), keep=("messages", keep), archive=bridge.archive, strategy=RecentMessages()
    )
    builder = StateGraph(State)
    builder.add_node("condense", condenser)
    builder.add_node("agent", agent)
    builder.add_node("tools", tools)
    builder.add_edge(START, "condense")
    builder.add_edge("condense", "agent")
    builder.add_conditional_edges("agent", after, ["tools", END])
    builder.add_edge("tools", "condense")
    return builder.compile(checkpointer=bridge.saver)


async def tell_story(
    bridge: SessionBridge, session_id: str = "s", *, turns: int = 4, user_id: str = "u-7", hostile: bool = True
) -> Any:
    """Makes the session, and returns its graph."""
    sessions = bridge.sessions
    await sessions.create(
        session_id,
        user_id=user_id,
        title="Where is my parcel? <b>4711</b>",
        tags=["parcel", "refund"],
        metadata={"channel_token": PASSWORD, "order": "4711"},
    )
    order = "4711" if hostile else "4812"
    graph, config = storied_graph(bridge, order=order), bridge.config(session_id, user_id=user_id)

    async def say(text: str, **also: Any) -> Any:
        return await graph.ainvoke({"messages": [HumanMessage(text)], **also}, config)

    nasty = HOSTILE if hostile else ""
    await bridge.context(session_id).aput(f"The customer is in a hurry. {nasty}".strip())
    bridge.records.record_context_injection(
        session_id, "rag", content="Policy 12: late parcels", source="handbook", query="late parcel"
    )
    await say(f"Where is my order {order}? My key is {API_KEY}. {nasty}".strip())
    await say("Yes, please refund it.")
    await graph.ainvoke(Command(resume="approved"), config)
    try:
        await say(ARABIC, outage=True)
    except ConnectionError:
        await graph.ainvoke(None, config)
    for number in range(turns):
        await say(f"And question {number + 1}? {EMOJI if number % 2 else ''}", outage=False)
    await sessions._context.follower.settle(session_id)
    return graph


def stretched(entries: Sequence[Entry], *, factor: float = 60.0, nights: Sequence[int] = (4, 6)) -> list[Entry]:
    """The same entries as if each second had taken a minute, the answer half an hour, and nights lay between turns."""
    start, asked = entries[0].at, next((entry.n for entry in entries if entry.kind == "interrupt"), len(entries))
    answered = next((e.n for e in entries[asked:] if e.kind == "resume" or e.title == "Run started"), len(entries))

    def moved(at: datetime, entry: Entry) -> datetime:
        nap = timedelta(hours=17.5 * sum(entry.turn >= night for night in nights))
        return start + (at - start) * factor + nap + timedelta(minutes=32 * (entry.n >= answered))

    return [
        entry.model_copy(
            update={
                "at": moved(entry.at, entry),
                "ended_at": None if entry.ended_at is None else moved(entry.ended_at, entry),
            }
        )
        for entry in entries
    ]
