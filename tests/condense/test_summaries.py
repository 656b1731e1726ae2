"""A summary that is not good beyond doubt trims nothing; a good one is written from what goes, and stays."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langgraph.errors import GraphInterrupt

from condense.scripted import ScriptedModel
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.marks import MARK, is_summary, pin
from langgraph_session_bridge.condense.rules import validate
from langgraph_session_bridge.condense.strategies import Pipeline, RecentMessages, ToolResultMasking
from langgraph_session_bridge.condense.summaries import judged
from langgraph_session_bridge.condense.summarizing import Summarizing

USAGE = {"input_tokens": 90, "output_tokens": 10, "total_tokens": 100}


def chat(turns: int, start: int = 0) -> list[BaseMessage]:
    head: list[BaseMessage] = [SystemMessage("You help.", id="s")] if start == 0 else []
    said = [
        m
        for n in range(start, start + turns)
        for m in (HumanMessage(f"question {n} " * 5, id=f"h{n}"), AIMessage(f"answer {n} " * 10, id=f"a{n}"))
    ]
    return [*head, *said]


def condenser(summarizer: Any, **more: Any) -> Condenser:
    strategy = Summarizing(summarizer, **more)
    return Condenser(strategy, trigger=("tokens", 400), keep=("tokens", 240), archive=None)


def reply(text: str, **more: Any) -> AIMessage:
    return AIMessage(text, **more)


CALL: Any = {"name": "t", "args": {}, "id": "c", "type": "tool_call"}
BAD: dict[str, tuple[Any, str]] = {
    "failed": (ValueError("no quota"), "ValueError: no quota"),
    "empty": ("", "empty"),
    "blank": (" \n ", "empty"),
    "only thoughts": ("<think>hm, what did they say</think>", "empty"),
    "unfinished thoughts": ("<think>hm, what did they", "thoughts"),
    "cut off (OpenAI)": (reply("The user", response_metadata={"finish_reason": "length"}), "cut off"),
    "cut off (Anthropic)": (reply("The user", response_metadata={"stop_reason": "max_tokens"}), "cut off"),
    "cut off (Gemini)": (reply("The user", response_metadata={"finish_reason": "MAX_TOKENS"}), "cut off"),
    "cut off (Ollama)": (reply("The user", response_metadata={"done_reason": "length"}), "cut off"),
    "a tool call": (reply("Let me see", tool_calls=[CALL]), "calls a tool"),
    "a tool call as text": ('<tool_call>{"name": "t"}</tool_call>', "markup"),
    "a function call as text": ("<function=lookup>{}</function>", "markup"),
    "a Mistral call as text": ("[TOOL_CALLS] [{}]", "markup"),
    "longer than what it replaces": ("words " * 600, "not smaller"),
    "longer than it may be": ("words " * 70, "longer than it may be"),
    "no text": (reply([{"type": "image_url", "image_url": {"url": "x"}}]), "empty"),  # type: ignore[list-item]
}


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_summary_trims_nothing(bad: str, how: str, caplog: pytest.LogCaptureFixture) -> None:
    answer, why = BAD[bad]
    ours, messages = condenser(ScriptedModel(replies=[answer])), chat(10)
    plan = ours.condense(messages) if how == "sync" else await ours.acondense(messages)
    assert not plan and plan.after == messages
    assert why in " ".join(plan.notes) and why in caplog.text
    assert ours.invoke({"messages": messages}) is None


@pytest.mark.parametrize("answer", [17, None, HumanMessage])
def test_an_answer_that_is_neither_text_nor_a_message_trims_nothing(answer: Any) -> None:
    assert "neither text nor a message" in judged(answer).refused
    assert not condenser(RunnableLambda(lambda messages: answer)).condense(chat(10))


def test_an_interrupt_is_no_failure() -> None:
    def asks(messages: list[BaseMessage]) -> str:
        raise GraphInterrupt

    with pytest.raises(GraphInterrupt):
        condenser(asks).condense(chat(10))


def test_a_pipeline_says_what_happens_if_there_is_no_summary() -> None:
    failing = ScriptedModel(replies=[ValueError("down")])
    strategy = Pipeline(Summarizing(failing), RecentMessages())
    ours = Condenser(strategy, trigger=("tokens", 400), keep=("tokens", 240), archive=None)
    plan = ours.condense(chat(10))
    assert plan.removed and not plan.inserted and "down" in " ".join(plan.notes)


def test_a_refused_summary_is_not_asked_for_again_until_there_is_more() -> None:
    model = ScriptedModel(replies=[""])
    ours, config = condenser(model), {"configurable": {"thread_id": "t"}}
    for _ in range(3):
        assert not ours.condense(chat(10), config)  # type: ignore[arg-type]
    assert len(model.calls) == 1
    ours.condense(chat(12), config)  # type: ignore[arg-type]
    assert len(model.calls) == 2


def test_a_summary_stands_after_the_task_and_says_what_it_is() -> None:
    plan = condenser(ScriptedModel(replies=["Question 1 was answered."])).condense(chat(10))
    summary = plan.after[2]
    assert [m.id for m in plan.after[:2]] == ["s", "h0"] and plan.inserted == [summary]
    assert isinstance(summary, HumanMessage) and is_summary(summary) and summary.id == f"cond-{plan.id}-summary"
    assert summary.text.endswith("Question 1 was answered.")
    note = summary.additional_kwargs[MARK]
    assert note == {"kind": "summary", "condensation": plan.id, "covers": [], "messages": len(plan.removed)}
    assert plan.tokens_after < 240 < 400 <= plan.tokens_before
    assert condenser(ScriptedModel(replies=["Other words."])).condense(chat(10)).id == plan.id
    assert condenser(ScriptedModel(replies=["x"])).condense(chat(11)).id != plan.id


def test_a_summary_comes_after_the_task_also_where_a_greeting_went() -> None:
    head, *rest = chat(10)
    plan = condenser(lambda messages: "Notes.").condense([head, AIMessage("Hello! How may I help?", id="hello"), *rest])
    assert [m.id for m in plan.after[:3]] == ["s", "h0", f"cond-{plan.id}-summary"] and "hello" in plan.reasons


def test_a_summary_never_comes_between_a_call_and_its_result() -> None:
    call: Any = {"name": "t", "args": {}, "id": "slow", "type": "tool_call"}
    head, first, *rest = chat(10)
    slow = pin(AIMessage("", id="call", tool_calls=[call]))
    answer = ToolMessage("at last", tool_call_id="slow", id="result")
    plan = condenser(lambda messages: "Notes.").condense([head, first, slow, *rest[:6], answer, *rest[6:]])
    after = [m.id for m in plan.after]
    assert plan.inserted and after.index("result") == after.index("call") + 1


def test_the_model_gets_instructions_and_what_goes_and_a_function_gets_the_messages() -> None:
    model, given = ScriptedModel(replies=["Notes."]), list[list[BaseMessage]]()

    def function(messages: list[BaseMessage]) -> str:
        given.append(messages)
        return "Notes."

    plan = condenser(model).condense(chat(10))
    condenser(function).condense(chat(10))
    [[instructions, text]], [messages] = model.calls, given
    assert messages == plan.removed
    assert "at most 36 words" in instructions.text  # a quarter of what is kept is 60 tokens
    assert "question 1 " in text.text and "question 0 " not in text.text and "question 9 " not in text.text
    raw = ScriptedModel(replies=["Notes."])
    condenser(raw, prompt=None).condense(chat(10))
    assert raw.calls == [plan.removed]


async def test_any_runnable_or_function_writes_summaries() -> None:
    async def later(messages: list[BaseMessage]) -> str:
        return f"Notes on {len(messages)}."

    assert (await condenser(later).acondense(chat(10))).inserted
    assert not condenser(later).condense(chat(10)), "an async function can't be called without a loop; nothing is lost"
    assert (await condenser(lambda messages: "Notes.").acondense(chat(10))).inserted
    chain = ScriptedModel(replies=["Notes."]).with_retry()
    assert condenser(chain).condense(chat(10)).inserted


def test_usage_is_booked_apart() -> None:
    model = ScriptedModel(replies=[reply("Notes.", usage_metadata=USAGE, response_metadata={"model_name": "small"})])
    plan = condenser(model).condense(chat(10))
    assert plan.usage == USAGE and plan.model == "small"
    assert all(getattr(message, "usage_metadata", None) is None for message in plan.after)
    refused = condenser(ScriptedModel(replies=[reply("", usage_metadata=USAGE)])).condense(chat(10))
    assert refused.usage == USAGE and not refused


def test_earlier_summaries_are_not_summarised_again_until_there_are_too_many() -> None:
    model = ScriptedModel(replies=["First notes.", "Second notes.", "All notes.", "Fourth notes."])
    ours, messages, summaries = condenser(model), chat(10), list[list[str]]()
    for start in (10, 18, 26, 34):
        plan = ours.condense(messages)
        assert plan.inserted and validate(plan.after, before=messages) == []
        summaries.append([m.text.split("\n")[-1] for m in plan.after if is_summary(m)])
        messages = [*plan.after, *chat(8, start)]
    assert summaries == [
        ["First notes."],
        ["First notes.", "Second notes."],
        ["All notes."],
        ["All notes.", "Fourth notes."],
    ]
    second, third = model.calls[1][1].text, model.calls[2][1].text
    assert "First notes." in second and "question 1 " not in second, "what was summarised is not read again"
    assert "First notes." in third and "Second notes." in third
    [folded] = [m for m in plan.after if "All notes." in m.text]
    assert len(folded.additional_kwargs[MARK]["covers"]) == 2


def test_a_pinned_summary_is_never_folded() -> None:
    ours, messages = condenser(lambda messages: "Notes."), chat(10)
    for start in (10, 18, 26, 34):
        messages = ours.condense(messages).after
        messages = [pin(m) if is_summary(m) and start == 10 else m for m in messages]
        first = next(m for m in messages if is_summary(m))
        messages = [*messages, *chat(8, start)]
    assert first in ours.condense(messages).after and first.additional_kwargs[MARK]["pinned"]


def test_langchains_own_summaries_stay_too() -> None:
    theirs = HumanMessage("Here is a summary", id="lc", additional_kwargs={"lc_source": "summarization"})
    head, *rest = chat(10)
    plan = condenser(lambda messages: "Notes.").condense([head, rest[0], theirs, *rest[1:]])
    assert theirs in plan.after and validate(plan.after, before=plan.before) == []


def test_thoughts_are_cut_from_a_summary() -> None:
    assert judged("<think>hm</think>\nThe user wants tea.").text == "The user wants tea."
    assert judged("<conversation>The user wants tea.</conversation>").text == "The user wants tea."
    blocks = AIMessage([{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "Tea."}])
    assert judged(blocks).text == "Tea."


def test_long_histories_are_shortened_for_the_model() -> None:
    model = ScriptedModel(replies=["Notes."])
    messages = chat(3)
    messages[3] = messages[3].model_copy(update={"content": "start " + "x" * 9000 + " end"})
    condenser(model, max_message_chars=500, max_input_chars=800).condense([*messages, *chat(6, 4)])
    text = model.calls[0][1].text
    assert len(text) < 900 and "were archived" in text


def test_without_room_for_a_summary_nothing_goes() -> None:
    messages = chat(10)
    messages[5] = pin(HumanMessage("must stay " * 124, id=messages[5].id))
    plan = condenser(lambda messages: "Notes.").plan(messages)
    assert not plan and "leaves no room" in str(plan)


def test_masked_results_are_summarised_from_what_they_were() -> None:
    given = list[list[BaseMessage]]()

    def function(messages: list[BaseMessage]) -> str:
        given.append(messages)
        return "Notes."

    call: Any = {"name": "t", "args": {}, "id": "c1", "type": "tool_call"}
    step = [AIMessage("", id="call", tool_calls=[call]), ToolMessage("found " * 100, tool_call_id="c1", id="result")]
    head, first, *rest = chat(12)
    strategy = Pipeline(ToolResultMasking(keep_results=0), Summarizing(function))
    ours = Condenser(strategy, trigger=("tokens", 400), keep=("tokens", 240), archive=None)
    plan = ours.condense([head, first, *step, *rest])
    assert step[1] in given[0] and step[1] in plan.removed and not plan.replaced
