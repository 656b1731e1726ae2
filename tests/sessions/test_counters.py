"""What is counted by itself is what checkpoints and records say: each thing once, however it came about."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, RetryPolicy, interrupt

from langgraph_session_bridge import InvalidInputError, SessionBridge
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.summarizing import Summarizing
from langgraph_session_bridge.sessions.following.prices import Price
from langgraph_session_bridge.sessions.models import Session
from sessions.conftest import OpenBridge
from sessions.truth import truth, used


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    answer: str


def answers(model: str, *, read: int, written: int, cached: int = 0) -> Callable[..., AIMessage]:
    """Answers of a model that reports what it used."""
    numbers = itertools.count(1)

    def answer(**fields: Any) -> AIMessage:
        usage: Any = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        usage["input_token_details"] = {"cache_read": cached}
        fields = {"content": f"{model} {next(numbers)}", **fields}
        return AIMessage(**fields, usage_metadata=usage, response_metadata={"model_name": model})

    return answer


@tool
def look(what: str) -> str:
    """Looks something up."""
    if what == "nothing":
        raise ValueError("nothing there")
    return what


def calls(*named: tuple[str, str]) -> list[Any]:
    return [{"name": name, "args": {"what": what}, "id": f"{what}-{n}"} for n, (name, what) in enumerate(named)]


class Agent:
    """Everything happens in it that is counted: parallel and unknown tools, retries, questions, summaries."""

    def __init__(self, bridge: SessionBridge) -> None:
        chat, brief = answers("big", read=100, written=10, cached=40), answers("small", read=7, written=3)
        wanted = calls(("look", "it"), ("look", "nothing"), ("look", "more"), ("guess", "that"))
        self.fails, self.flaky = False, iter([True, False] * 9)
        self.tell = GenericFakeChatModel(messages=_endless(lambda: chat(tool_calls=wanted)))
        self.inner = GenericFakeChatModel(messages=_endless(chat))
        summary = GenericFakeChatModel(messages=_endless(brief))
        condenser = Condenser(
            Summarizing(summary), trigger=("messages", 8), keep=("messages", 4), archive=bridge.archive
        )
        sub = StateGraph(State)
        sub.add_node("think", self.think)
        sub.add_edge(START, "think")
        builder = StateGraph(State)
        builder.add_node("condense", condenser)
        builder.add_node("ask", self.ask)
        builder.add_node("model", self.model)
        builder.add_node("tools", ToolNode([look], handle_tool_errors=True))
        builder.add_node("sub", sub.compile())
        builder.add_node("try", self.attempt, retry_policy=RetryPolicy(initial_interval=0.01, jitter=False))
        order = [START, "condense", "ask", "model", "tools", "sub", "try", END]
        for before, after in itertools.pairwise(order):
            builder.add_edge(before, after)
        self.graph = builder.compile(checkpointer=bridge.saver)

    def ask(self, state: State) -> State:
        return {"answer": interrupt("really?")}

    def model(self, state: State, config: RunnableConfig) -> State:
        return {"messages": [self.tell.invoke(state["messages"], config)]}

    def think(self, state: State, config: RunnableConfig) -> State:
        return {"messages": [self.inner.invoke("well?", config)]}

    def attempt(self, state: State, config: RunnableConfig) -> State:
        self.inner.invoke("again?", config)
        if next(self.flaky):
            raise ConnectionError("try again")
        if self.fails:
            raise ValueError("no")
        return {"messages": [AIMessage("done")]}


def _endless(make: Callable[[], AIMessage]) -> Iterator[AIMessage]:
    while True:
        yield make()


async def settled(bridge: SessionBridge, session_id: str = "s") -> Session:
    await bridge.sessions._context.follower.settle(session_id)
    assert await asyncio.to_thread(bridge._recording.outbox.drain, 10)
    return await bridge.sessions.get(session_id)


def counted(session: Session) -> dict[str, int]:
    return session.counters.model_dump()


def requests(session: Session, *, condensing: bool = False) -> dict[str, tuple[int, int, int]]:
    usage = session.condenser_usage if condensing else session.usage
    return {each.model: (each.requests, each.input_tokens, each.output_tokens) for each in usage}


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("blocking", [False, True])
async def test_counters_are_what_checkpoints_and_records_say(
    open_bridge: OpenBridge, journal: bool, durability: str, blocking: bool
) -> None:
    async with open_bridge(journal=journal) as bridge:
        agent = Agent(bridge)

        async def run(inputs: Any) -> None:
            config, how = bridge.config("s"), {"durability": durability}
            bound = bridge.bind(agent.graph)  # attached twice, noticed once
            if blocking:
                await asyncio.to_thread(bound.invoke, inputs, config, **how)
            else:
                await bound.ainvoke(inputs, config, **how)

        await bridge.sessions.create("s")
        for turn in range(2):
            await run({"messages": [HumanMessage(f"question {turn}")]})
            agent.fails = turn == 1
            if agent.fails:
                with pytest.raises(ValueError, match="no"):
                    await run(Command(resume="yes"))
                agent.fails = False
                await run(None)
            else:
                await run(Command(resume="yes"))
        session = await settled(bridge)
        assert counted(session) == await truth(bridge, "s")
        assert min(session.counters.condensations, session.counters.tool_errors, session.counters.errors) >= 1
        for condensing in (False, True):
            assert requests(session, condensing=condensing) == await used(bridge, "s", condensing=condensing)
        assert requests(session, condensing=True).keys() == {"small"} and requests(session).keys() == {"big"}


async def test_two_processes_count_one_session_together(open_bridge: OpenBridge) -> None:
    async with open_bridge() as one, open_bridge() as other:
        await one.sessions.create("s")
        for turn, bridge in enumerate((one, other, one, other)):
            agent = Agent(bridge)
            await agent.graph.ainvoke({"messages": [HumanMessage(f"{turn}")]}, bridge.config("s"))
            await Agent(one if bridge is other else other).graph.ainvoke(
                Command(resume="yes"), (one if bridge is other else other).config("s")
            )
        await settled(one)
        assert counted(await settled(other)) == await truth(other, "s")


async def test_a_condensation_that_is_archived_again_after_a_crash_counts_once(open_bridge: OpenBridge) -> None:
    class Crash(Exception):
        """After the archive has it, before the checkpoint."""

    crashing = True

    def node(state: State) -> State:
        if crashing:
            raise Crash
        return {"answer": "yes"}

    async with open_bridge() as one, open_bridge() as other:
        await one.sessions.create("s")
        inputs: Any = {"messages": [(HumanMessage, AIMessage)[n % 2](str(n), id=f"m{n}") for n in range(12)]}
        for bridge in (one, other):
            condenser = Condenser(trigger=("messages", 8), keep=("messages", 4), archive=bridge.archive)

            def both(state: State, config: RunnableConfig, condenser: Condenser = condenser) -> Any:
                update = condenser.invoke(state, config)
                node(state)
                return update

            builder = StateGraph(State)
            builder.add_node("both", both)
            builder.add_edge(START, "both")
            graph = builder.compile(checkpointer=bridge.saver)
            for _ in range(2 if crashing else 1):
                if crashing:
                    with pytest.raises(Crash):
                        await asyncio.to_thread(graph.invoke, inputs, bridge.config("s"))
                    inputs = None
                else:
                    await asyncio.to_thread(graph.invoke, None, bridge.config("s"))
            await settled(bridge)
            crashing = False
        session = await settled(one)
        assert session.counters.condensations == 1 == len(await one.condensations("s"))
        assert session.counters.messages == 12, "put again with each try, said once"


async def test_messages_are_counted_as_they_come_and_not_when_they_go_or_change(open_bridge: OpenBridge) -> None:
    script: list[Any] = []

    def node(state: State) -> State:
        return {"messages": script.pop(0)}

    async with open_bridge() as bridge:
        builder = StateGraph(State)
        builder.add_node("node", node)
        builder.add_edge(START, "node")
        graph = builder.compile(checkpointer=bridge.saver)
        await bridge.sessions.create("s")
        config = bridge.config("s")

        async def turn(given: Any, made: Any, expected: int, config: Any = config) -> None:
            script.append(made)
            await graph.ainvoke({"messages": given}, config)
            assert (await settled(bridge)).counters.messages == expected

        await turn([HumanMessage("a", id="a")], [AIMessage("b", id="b")], 2)
        first = await graph.aget_state(config)
        await turn([HumanMessage("a, edited", id="a")], [RemoveMessage(id="b")], 2)
        await turn([HumanMessage("c")], [AIMessage("d"), AIMessage("e")], 5)
        await graph.aupdate_state(config, {"messages": [HumanMessage("f")]})
        assert (await settled(bridge)).counters.messages == 6
        await turn([HumanMessage("g")], [], 7, {**config, **first.config, "callbacks": config["callbacks"]})
        await bridge.sessions.create("other", thread_id="t")
        await graph.aupdate_state(bridge.config("t"), {"messages": [HumanMessage("h")] * 1})
        assert (await settled(bridge, "t")).counters.messages == 1


async def test_each_request_costs_what_its_price_says_and_summaries_are_booked_apart(
    open_bridge: OpenBridge, caplog: pytest.LogCaptureFixture
) -> None:
    prices = {"big": Price(input=3.0, output=15.0, cached_input=0.3)}
    async with open_bridge(prices=prices) as bridge:
        agent = Agent(bridge)
        await bridge.sessions.create("s")
        for turn in range(2):
            await agent.graph.ainvoke({"messages": [HumanMessage(f"{turn}")]}, bridge.config("s"))
            await agent.graph.ainvoke(Command(resume="yes"), bridge.config("s"))
        session = await settled(bridge)
        (big,), (small,) = session.usage, session.condenser_usage
        each = 60 * 3 + 40 * 0.3 + 10 * 15
        assert big.cost_microunits == big.requests * each == session.cost_microunits
        assert (big.requests, big.cached_input_tokens) == (8, 320) and small.requests == 1
        assert [r.message for r in caplog.records if "No price" in r.message] == [
            "No price is known of model 'small' of 'genericfakechatmodel': what it costs is not counted."
        ]
        report = await bridge.sessions.end("s")
        assert report.condenser_usage == [small]


async def test_a_function_may_tell_the_price_and_may_fail(
    open_bridge: OpenBridge, caplog: pytest.LogCaptureFixture
) -> None:
    def price(provider: str, model: str, amounts: Any) -> float | None:
        if amounts["input_tokens"] > 50:
            raise KeyError(model)
        return 0.4 + amounts["output_tokens"]

    async with open_bridge(prices=price) as bridge:
        agent = Agent(bridge)
        await bridge.sessions.create("s")
        for turn in range(2):
            await agent.graph.ainvoke({"messages": [HumanMessage(f"{turn}")]}, bridge.config("s"))
            await agent.graph.ainvoke(Command(resume="yes"), bridge.config("s"))
        session = await settled(bridge)
        assert [each.cost_microunits for each in (*session.usage, *session.condenser_usage)] == [0, 3]
        assert session.usage[0].requests == 8, "the request counts, whatever its price"
        assert any(r.levelno >= logging.ERROR and "could not be told" in r.message for r in caplog.records)


@pytest.mark.parametrize("prices", [{"big": 3.0}, [Price(input=1, output=1)], 7])
def test_what_is_no_price_is_refused_at_once(open_bridge: OpenBridge, prices: Any) -> None:
    with pytest.raises(InvalidInputError, match="prices"):
        open_bridge(prices=prices)
    with pytest.raises(InvalidInputError, match="0 or more"):
        Price(input=-1.0, output=1.0)


async def test_what_an_application_adds_is_added_to_what_is_noticed(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        builder = StateGraph(State)
        builder.add_node("node", lambda state: {"messages": [AIMessage("b")]})
        builder.add_edge(START, "node")
        graph = builder.compile(checkpointer=bridge.saver)
        await bridge.sessions.create("s")
        await bridge.sessions.add("s", turns=2, messages=3, condensations=1)
        await graph.ainvoke({"messages": [HumanMessage("a")]}, bridge.config("s"))
        counters = (await settled(bridge)).counters
        assert (counters.turns, counters.messages, counters.condensations) == (3, 5, 1)
