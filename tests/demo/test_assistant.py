"""The assistant's parts: its tools stay inside their directory, its script is a function of the conversation."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_session_bridge import InvalidInputError
from langgraph_session_bridge.demo import Kill
from langgraph_session_bridge.demo.agent import build_agent, opening
from langgraph_session_bridge.demo.comparing import Ending, differences, gaps
from langgraph_session_bridge.demo.models import ScriptedModel
from langgraph_session_bridge.demo.plan import next_message
from langgraph_session_bridge.demo.report import percentile, problems_of_kill
from langgraph_session_bridge.demo.tools import workspace_tools


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with two files, one of them hidden."""
    (tmp_path / "poem.txt").write_text("one fish\ntwo fish\nred fish\n")
    (tmp_path / ".secret").write_text("fish\n")
    return tmp_path


@pytest.fixture
def tools(root: Path) -> dict[str, BaseTool]:
    """The assistant's tools, by name."""
    return {tool.name: tool for tool in workspace_tools(root)}


def test_tools_tell_what_is_there(tools: dict[str, BaseTool]) -> None:
    assert tools["list_files"].invoke({}) == "poem.txt  27"
    assert tools["count_lines"].invoke({}) == ".txt  1 file  3 lines  6 words"
    assert tools["largest_files"].invoke({"extension": ".txt"}) == "3  poem.txt"
    assert tools["read_file"].invoke({"path": "poem.txt", "first_line": 2, "lines": 1}) == "two fish"
    assert tools["search"].invoke({"pattern": "^t.o"}) == "1 line in 1 file\npoem.txt:2: two fish"


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("read_file", {"path": "../elsewhere"}, "outside of the workspace"),
        ("list_files", {"folder": "/etc"}, "outside of the workspace"),
        ("read_file", {"path": "absent.txt"}, "does not exist"),
        ("read_file", {"path": "."}, "is not a file"),
        ("search", {"pattern": "("}, "is not a regular expression"),
    ],
)
def test_tools_refuse(tools: dict[str, BaseTool], tool: str, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        tools[tool].invoke(arguments)


def test_the_script_follows_what_the_tools_said() -> None:
    question = HumanMessage("?", id="question")
    first = next_message([question])
    assert first == next_message([question])
    listed = ToolMessage("src/\nREADME.md  12", tool_call_id=first.tool_calls[0]["id"], id="result")
    calls = next_message([question, first, listed]).tool_calls
    assert [(call["name"], call["args"]) for call in calls] == [
        ("count_lines", {"folder": "."}),
        ("read_file", {"path": "README.md", "lines": 30}),
    ]


def test_two_runs_of_the_agent_are_equal_with_their_ids(root: Path) -> None:
    def run() -> dict[str, object]:
        agent = build_agent(ScriptedModel(), workspace_tools(root), InMemorySaver(), lambda *_: None)
        return dict(agent.invoke(opening(), {"configurable": {"thread_id": "1"}}))

    first = run()
    assert first == run()
    last = first["messages"][-1]  # type: ignore[index]
    assert isinstance(last, AIMessage)
    assert "poem.txt" in str(last.content)


def kill(**changes: object) -> Kill:
    facts: dict[str, object] = {
        "step": 5,
        "doing": ["thinks"],
        "acknowledged_step": 4,
        "redis_entries": 1,
        "redis_bytes": 1,
        "mongodb_checkpoints": 5,
        "acknowledged_checkpoints": 6,
        "resumed_step": 5,
        "repeated_steps": [5],
        "read_ms": 1.0,
        "resume_s": 1.0,
    }
    return Kill(**(facts | changes))  # type: ignore[arg-type]


def test_a_broken_promise_is_named() -> None:
    assert problems_of_kill(kill(), "async") == []
    assert problems_of_kill(kill(resumed_step=1, repeated_steps=[1, 2, 3, 4, 5]), "exit") == []
    lost = problems_of_kill(kill(resumed_step=4, repeated_steps=[4, 5]), "async")
    assert lost == [
        "step 4 was acknowledged, and yet run again after the kill in 5",
        "steps [4] were run again after the kill in step 5",
    ]


def test_differences_are_named() -> None:
    reference = Ending(values={"turns": 2}, steps=[-1, 0, 1])
    assert differences(Ending(values={"turns": 2}, steps=[-1, 0, 1]), reference) == []
    assert differences(Ending(values={"turns": 3}, steps=[-1, 0, 0, 1]), reference) == [
        "the final states differ in 'turns'",
        "the histories differ: steps [-1, 0, 0, 1] instead of [-1, 0, 1]",
    ]
    assert gaps(reference) == []
    assert gaps(Ending(values={}, steps=[])) == ["nothing is stored of the run"]
    assert gaps(Ending(values={}, steps=[-1, 1])) == ["the history is not whole: steps [-1, 1]"]


def test_percentiles() -> None:
    assert percentile([], 0.5) == 0
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(range(1, 101), 0.99) == 99
