"""What the recorder keeps of tools, on real graphs."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import ParentCommand
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, ToolRuntime
from langgraph.types import Command, interrupt

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.recorder.idempotency import idempotency_key

from . import tooled
from .collecting import Recording
from .contract_tools import Answering
from .tooled import MODES, add, ask, asking, boom, call, drive, search, tool_graph

pytestmark = pytest.mark.parametrize("mode", MODES)
USER: Any = {"messages": [("user", "x")]}


def calling(*calls: dict[str, Any], message_id: str = "ai") -> AIMessage:
    return AIMessage("", id=message_id, tool_calls=list(calls))


async def test_parallel_calls_of_a_tool_node_are_told_apart(mode: str) -> None:
    recording = Recording()
    calls = [call("add", f"c{n}", a=n, b=n) for n in range(8)]
    await drive(tool_graph([add], saver=InMemorySaver()), asking(*calls), recording.config(), mode)
    records = recording.sink.tools()
    assert [record.tool_call_id for record in sorted(records, key=lambda r: r.tool_call_id or "")] == [
        f"c{n}" for n in range(8)
    ]
    for record in records:
        assert record.status == "success" and record.attempt == 1 and record.tool_name == "add"
        n = int(str(record.tool_call_id)[1:])
        assert record.result is not None and record.result.text == str(2 * n)
        assert record.arguments is not None and record.arguments.text == f'{{"a":{n},"b":{n}}}'
        assert record.graph_node == "tools" and record.graph_step == 1 and record.ai_message_id == "ai"
        assert record.checkpoint_ns == f"tools:{record.task_id}" and record.checkpoint_id
        assert record.session_id == "s-1" and record.user_id == "u-1" and record.owner == "me"
        assert record.started_at and record.ended_at and record.started_at <= record.ended_at
        assert record.duration_s is not None and 0 <= record.duration_s < 60
        assert record.run_id == record.id and record.parent_run_id and record.root_run_id == recording.started[0][1]
    assert len({record.idempotency_key for record in records}) == 8


async def test_create_agent_is_recorded_with_its_name(mode: str) -> None:
    recording = Recording()
    graph = tooled.agent([add], calling(call("add", "c1", a=1, b=2), call("add", "c2", a=3, b=4)), AIMessage("done"))
    await drive(graph, USER, recording.config(), mode)
    one, other = recording.sink.tools()
    assert one.agent_name == other.agent_name == "agent7" and one.task_id != other.task_id
    assert one.ai_message_id == "ai" and one.status == other.status == "success"
    assert recording.names().count("tool.started") == recording.names().count("tool.completed") == 2


async def test_tools_of_a_subgraph_have_the_whole_namespace_and_the_root_of_the_session(mode: str) -> None:
    recording = Recording()
    graph = tooled.parent_of(tool_graph([add]), InMemorySaver())
    await drive(graph, asking(call("add", "c1", a=1, b=2)), recording.config(), mode)
    record = recording.sink.tool()
    assert [part.split(":")[0] for part in str(record.checkpoint_ns).split("|")] == ["child", "tools"]
    assert record.root_run_id == recording.started[0][1] and len(recording.started) == 1
    assert record.checkpoint_id and record.origin == "callback"


async def test_an_error_that_the_model_was_told_of_is_handled(mode: str) -> None:
    recording = Recording()
    await drive(
        tool_graph([boom], handle_tool_errors=True), asking(call("boom", "c1", x="y")), recording.config(), mode
    )
    record = recording.sink.tool()
    assert record.status == "error" and record.error is not None
    assert record.error.type == "ValueError" and record.error.message == "boom y" and record.error.handled
    assert record.error.traceback_digest
    assert "tool.failed" in recording.names() and "node.failed" not in recording.names()


async def test_an_error_that_ends_the_run_is_not_handled(mode: str) -> None:
    recording = Recording()
    with pytest.raises(ValueError, match="boom y"):
        await drive(tool_graph([boom]), asking(call("boom", "c1", x="y")), recording.config(), mode)
    record = recording.sink.tool()
    assert record.status == "error" and record.error is not None and not record.error.handled
    assert recording.names()[-3:] == ["node.failed", "run.ended", "session.error"]


async def test_invalid_arguments_are_a_handled_error(mode: str) -> None:
    recording = Recording()
    await drive(tool_graph([add]), asking(call("add", "c1", a="zz")), recording.config(), mode)
    record = recording.sink.tool()
    assert record.status == "error" and record.error is not None and record.error.handled
    assert record.error.type.endswith("ValidationError")


async def test_a_tool_that_answers_with_an_error_message_failed(mode: str) -> None:
    recording = Recording()
    await drive(tool_graph([tooled.complain]), asking(call("complain", "c1", x="y")), recording.config(), mode)
    record = recording.sink.tool()
    assert record.status == "error" and record.error is not None
    assert record.error.handled and record.error.message == "no y" and record.error.type == "reported"


async def test_a_command_is_a_success(mode: str) -> None:
    recording = Recording()
    await drive(tool_graph([tooled.hand_over]), asking(call("hand_over", "c1")), recording.config(), mode)
    record = recording.sink.tool()
    assert record.status == "success" and record.result is not None and "handed over" in str(record.result.text)


async def test_a_tool_that_sends_its_parent_graph_on_is_a_success(mode: str) -> None:
    @tooled.tool
    def leave() -> str:
        """Sends the parent on."""
        raise ParentCommand(Command(graph=Command.PARENT, goto=END))

    recording = Recording()
    graph = tooled.parent_of(tool_graph([leave]), destinations=(END,))
    await drive(graph, asking(call("leave", "c1")), recording.config(), mode)
    assert recording.sink.tool().status == "success" and recording.names()[-1] == "run.ended"


class Again(AgentMiddleware[Any]):
    """Calls a tool again if it fails."""

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        try:
            return handler(request)
        except ConnectionError:
            return handler(request)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        try:
            return await handler(request)
        except ConnectionError:
            return await handler(request)


async def test_a_middleware_that_tries_again_makes_another_attempt(mode: str) -> None:
    recording = Recording()
    asked = calling(call("flaky", "c1", x="1"))
    graph = tooled.agent([tooled.Flaky().tool], asked, AIMessage("done"), middleware=[Again()])
    await drive(graph, USER, recording.config(), mode)
    records = recording.sink.tools()
    assert [(r.attempt, r.status, r.origin) for r in records] == [(1, "error", "callback"), (2, "success", "callback")]
    assert records[0].error is not None and not records[0].error.handled
    assert recording.sink.events("node.failed") == []


async def test_tools_of_an_agent_that_is_itself_a_tool_are_told_apart(mode: str) -> None:
    inner = tool_graph([add, boom], handle_tool_errors=True)
    given = asking(call("add", "c1", a=1, b=2), call("boom", "c2", x="y"))

    @tooled.tool
    def delegate() -> str:
        """Runs another graph."""
        return str(len(inner.invoke(given)["messages"]))

    @tooled.tool("delegate")
    async def adelegate() -> str:
        """Runs another graph."""
        return str(len((await inner.ainvoke(given))["messages"]))

    recording = Recording()
    tools = [delegate if mode == "sync" else adelegate]
    graph = tool_graph(tools, saver=InMemorySaver(), handle_tool_errors=True)
    await drive(graph, asking(call("delegate", "c1"), call("nope", "c2")), recording.config(), mode)
    found = {(r.tool_name, r.tool_call_id): r for r in recording.sink.tools()}
    assert {key: (r.status, r.origin) for key, r in found.items()} == {
        ("delegate", "c1"): ("success", "callback"),
        ("nope", "c2"): ("error", "message"),
        ("add", "c1"): ("success", "callback"),
        ("boom", "c2"): ("error", "callback"),
    }
    boomed = found["boom", "c2"]
    assert boomed.error is not None and boomed.error.handled and len({r.root_run_id for r in found.values()}) == 1


async def test_tools_of_the_functional_api_are_recorded_with_their_task(mode: str) -> None:
    @task
    def work(n: int) -> Any:
        return add.invoke({"type": "tool_call", **call("add", f"c{n}", a=n, b=n)})

    @task
    async def awork(n: int) -> Any:
        return await add.ainvoke({"type": "tool_call", **call("add", f"c{n}", a=n, b=n)})

    @entrypoint(checkpointer=InMemorySaver())
    def main(n: int) -> Any:
        return [future.result() for future in [work(k) for k in range(n)]]

    @entrypoint(checkpointer=InMemorySaver())
    async def amain(n: int) -> Any:
        return [await future for future in [awork(k) for k in range(n)]]

    recording = Recording()
    await drive(main if mode == "sync" else amain, 3, recording.config(), mode)
    records = recording.sink.tools()
    assert {record.tool_call_id for record in records} == {"c0", "c1", "c2"} and len(records) == 3
    assert {record.graph_node for record in records} == {"work" if mode == "sync" else "awork"}
    assert len({record.task_id for record in records}) == 3 and {r.status for r in records} == {"success"}


async def test_an_interrupt_in_a_tool_is_no_error_and_its_resume_is_another_attempt(mode: str) -> None:
    recording = Recording()
    graph = tooled.agent(
        [ask, add],
        calling(call("ask", "asks", q="ok?"), call("add", "adds", a=1, b=2)),
        AIMessage("done"),
        saver=InMemorySaver(),
    )
    await drive(graph, USER, recording.config(), mode)
    waiting = next(record for record in recording.sink.tools() if record.tool_call_id == "asks")
    assert waiting.status == "interrupted" and waiting.error is None
    assert waiting.interrupt is not None and waiting.interrupt.id and waiting.interrupt.value_digest
    assert recording.names().count("tool.interrupted") == 1 and "tool.failed" not in recording.names()
    await drive(graph, Command(resume="yes"), recording.config(), mode)
    asks = [record for record in recording.sink.tools() if record.tool_call_id == "asks"]
    assert [(record.attempt, record.status) for record in asks] == [(1, "interrupted"), (2, "success")]
    assert len({record.idempotency_key for record in asks}) == 1
    assert [record.ai_message_id for record in asks] == ["ai", "ai"]  # the resumed task is not told: its siblings know
    assert [record.status for record in recording.sink.tools() if record.tool_call_id == "adds"] == ["success"]


async def test_a_sibling_that_runs_again_at_a_resume_is_superseded(mode: str) -> None:
    recording = Recording()
    graph = tool_graph([ask, add], saver=InMemorySaver())
    calls = asking(call("add", "adds", a=1, b=2), call("ask", "asks", q="ok?"))
    await drive(graph, calls, recording.config(), mode)
    await drive(graph, Command(resume="yes"), recording.config(), mode)
    adds = [record for record in recording.sink.tools() if record.tool_call_id == "adds"]
    assert [(record.attempt, record.status) for record in adds] == [(1, "superseded"), (2, "success")]


async def test_a_retry_of_the_node_is_another_attempt_of_the_same_call(mode: str) -> None:
    recording = Recording()
    graph = tool_graph([tooled.Flaky().tool], saver=InMemorySaver(), retry=tooled.EAGER)
    await drive(graph, asking(call("flaky", "c1", x="1")), recording.config(), mode)
    one, two = recording.sink.tools()
    assert [one.status, two.status] == ["error", "success"] and [one.attempt, two.attempt] == [1, 2]
    assert one.idempotency_key == two.idempotency_key and one.id != two.id
    assert [record.model_extra["node_attempt"] for record in (one, two)] == [1, 2]  # type: ignore[index]
    assert [event.name for event in recording.sink.events("node.failed")] == ["node.failed"]


async def test_an_id_that_a_model_uses_again_is_another_call(mode: str) -> None:
    recording = Recording()
    first, second = calling(call("add", "c1", a=1, b=2)), calling(call("add", "c1", a=3, b=4), message_id="ai-2")
    graph = tooled.agent([add], first, second, AIMessage("done"))
    await drive(graph, USER, recording.config(), mode)
    one, two = recording.sink.tools()
    assert one.status == two.status == "success" and one.attempt == two.attempt == 1
    assert one.idempotency_key != two.idempotency_key
    assert [one.ai_message_id, two.ai_message_id] == ["ai", "ai-2"]


async def test_an_unknown_tool_is_filled_in_from_its_message(mode: str) -> None:
    recording = Recording()
    await drive(
        tool_graph([add]), asking(call("nope", "c1", z=1), call("add", "c2", a=1, b=2)), recording.config(), mode
    )
    by_call = {record.tool_call_id: record for record in recording.sink.tools()}
    record = by_call["c1"]
    assert record.tool_name == "nope" and record.origin == "message" and record.status == "error"
    assert record.error is not None and record.error.handled and "not a valid tool" in record.error.message
    assert record.arguments is not None and record.arguments.text == '{"z":1}' and record.ai_message_id == "ai"
    assert record.checkpoint_ns == by_call["c2"].checkpoint_ns and by_call["c2"].origin == "callback"


async def test_a_call_that_a_middleware_answers_is_filled_in_from_its_message(mode: str) -> None:
    recording = Recording()
    asked = calling(call("add", "c1", a=1, b=2))
    graph = tooled.agent([add], asked, AIMessage("done"), middleware=[Answering()])
    await drive(graph, USER, recording.config(), mode)
    record = recording.sink.tool()
    assert record.origin == "message" and record.status == "success" and record.tool_name == "add"
    assert record.result is not None and record.result.text == "cached"
    assert record.arguments is not None and record.arguments.text == '{"a":1,"b":2}' and record.ai_message_id == "ai"


async def test_messages_of_the_past_are_not_taken_for_calls(mode: str) -> None:
    recording = Recording()

    def repeat(state: Any) -> Any:
        return {"messages": list(state["messages"])}

    graph = tooled.parent_of(tooled.node_graph(repeat), InMemorySaver())
    past = [HumanMessage("x"), calling(call("add", "c1", a=1, b=2)), ToolMessage("3", tool_call_id="c1")]
    await drive(graph, {"messages": past}, recording.config(), mode)
    assert recording.sink.tools() == []


async def test_an_answer_in_a_subgraph_is_filled_in_once(mode: str) -> None:
    recording = Recording()
    graph = tooled.parent_of(tooled.parent_of(tool_graph([add])), InMemorySaver())
    await drive(graph, asking(call("nope", "c1")), recording.config(), mode)
    record = recording.sink.tool()
    assert record.origin == "message" and str(record.checkpoint_ns).count("|") == 2


async def test_answers_that_a_subgraph_gave_before_it_was_interrupted_are_not_filled_in_at_its_resume(
    mode: str,
) -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode([add]))
    builder.add_node("wait", lambda state: {"messages": [HumanMessage(interrupt("go?"))]})
    builder.add_edge(START, "tools")
    builder.add_edge("tools", "wait")
    graph = tooled.parent_of(builder.compile(), InMemorySaver())
    first, second = Recording(), Recording()
    await drive(graph, asking(call("add", "c1", a=1, b=2)), first.config(), mode)
    await drive(graph, Command(resume="yes"), second.config(), mode)
    assert first.sink.tool().status == "success" and second.sink.tools() == []


async def test_messages_of_an_agent_that_its_tool_passes_on_are_not_filled_in(mode: str) -> None:
    inner = tool_graph([add])

    @tooled.tool
    async def adelegate(runtime: ToolRuntime) -> Command[Any]:
        """Passes on all that the inner graph said."""
        return handed(await inner.ainvoke(asking(call("add", "c9", a=1, b=2))), runtime)

    @tooled.tool
    def delegate(runtime: ToolRuntime) -> Command[Any]:
        """Passes on all that the inner graph said."""
        return handed(inner.invoke(asking(call("add", "c9", a=1, b=2))), runtime)

    def handed(said: Any, runtime: Any) -> Command[Any]:
        answer = ToolMessage("done", tool_call_id=str(runtime.tool_call_id))
        return Command(update={"messages": [*said["messages"], answer]})

    recording = Recording()
    name = "delegate" if mode == "sync" else "adelegate"
    graph = tool_graph([delegate, adelegate], saver=InMemorySaver())
    await drive(graph, asking(call(name, "c1")), recording.config(), mode)
    assert sorted((r.tool_name, r.origin) for r in recording.sink.tools()) == [("add", "callback"), (name, "callback")]


async def test_a_tool_called_without_a_tool_call_is_a_call_of_its_own(mode: str) -> None:
    recording = Recording()

    def node(state: Any) -> Any:
        add.invoke({"a": 1, "b": 2})
        add.invoke({"a": 1, "b": 2})
        return {"messages": []}

    async def anode(state: Any) -> Any:
        await add.ainvoke({"a": 1, "b": 2})
        await add.ainvoke({"a": 1, "b": 2})
        return {"messages": []}

    await drive(tooled.node_graph(tooled.both(node, anode)), {"messages": []}, recording.config(), mode)
    for record in recording.sink.tools():
        assert record.tool_call_id is None and record.idempotency_key is None
        assert record.status == "success" and record.attempt == 1 and record.graph_node == "work"
    assert len(recording.sink.tools()) == 2


async def test_the_key_inside_a_tool_is_that_of_its_record(mode: str) -> None:
    recording = Recording()
    tooled.LOOKED.clear()
    graph = tooled.parent_of(tool_graph([tooled.look]), InMemorySaver())
    await drive(graph, asking(call("look", "c1", x="1")), recording.config(), mode)
    (runtime,) = tooled.LOOKED
    assert idempotency_key(runtime) == idempotency_key(runtime.config, "c1") == recording.sink.tool().idempotency_key
    assert idempotency_key(runtime.config, "c2") != idempotency_key(runtime)


async def test_secrets_and_large_results_are_stored_redacted_and_cut(mode: str) -> None:
    @tooled.tool
    def fetch(url: str, api_key: str) -> str:
        """Fetches much."""
        return "x" * 5_000_000

    recording = Recording(capture=Capture())
    await drive(tool_graph([fetch]), asking(call("fetch", "c1", url="u", api_key="sk-123")), recording.config(), mode)
    record = recording.sink.tool()
    assert record.result is not None and record.result.bytes == 5_000_000 and len(str(record.result.text)) == 256
    assert record.arguments is not None and "sk-123" not in str(recording.sink.batches)
    assert record.arguments.bytes == len('{"api_key":"sk-123","url":"u"}')


async def test_an_artifact_counts_as_part_of_the_result(mode: str) -> None:
    recording = Recording()
    await drive(tool_graph([search]), asking(call("search", "c1", q="x")), recording.config(), mode)
    record = recording.sink.tool()
    assert record.result is not None and '"rows":3' in str(record.result.text)
