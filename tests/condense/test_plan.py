"""A plan can be looked at, and is what is done."""

from __future__ import annotations

import io
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, SystemMessage, ToolMessage
from rich.console import Console

from langgraph_session_bridge.condense.archive import archived, condensation_of, digest_of
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.guard import guarded
from langgraph_session_bridge.condense.marks import mark_of, pin
from langgraph_session_bridge.condense.plan import condensation_id
from langgraph_session_bridge.condense.rules import RULES, FirstUserStays, validate
from langgraph_session_bridge.condense.strategies import (
    NoOp,
    Pipeline,
    RecentMessages,
    ToolResultMasking,
    ToolResultTruncation,
)
from langgraph_session_bridge.condense.summarizing import Summarizing
from langgraph_session_bridge.errors import ConfigurationError, InvalidInputError


def step(number: int, text: str = "found ", tool: str = "lookup") -> list[BaseMessage]:
    call: Any = {"name": tool, "args": {}, "id": f"c{number}", "type": "tool_call"}
    result = ToolMessage(text * 60, tool_call_id=f"c{number}", id=f"r{number}", artifact={"rows": 3})
    return [AIMessage("", id=f"t{number}", tool_calls=[call]), result, AIMessage("done", id=f"a{number}")]


def chat(turns: int) -> list[BaseMessage]:
    head: list[BaseMessage] = [SystemMessage("You <b>help</b> [you].", id="s")]
    return head + [m for n in range(turns) for m in (HumanMessage(f"question {n}", id=f"h{n}"), *step(n))]


def condenser(strategy: Any = None, **more: Any) -> Condenser:
    return Condenser(strategy, **{"trigger": ("tokens", 600), "keep": ("tokens", 300), "archive": None, **more})


def test_a_plan_is_false_if_there_is_nothing_to_do() -> None:
    plan = condenser().plan(chat(2))
    assert not plan and plan.update() == {} and str(plan) == "Nothing to condense" and plan.reasons == {}
    assert not condenser(NoOp()).plan(chat(9))


def test_planning_changes_and_asks_nothing() -> None:
    messages = chat(9)
    copies = [m.model_copy(deep=True) for m in messages]

    def summarizer(messages: list[BaseMessage]) -> str:
        raise AssertionError("a plan calls no model")

    plan = condenser(Pipeline(ToolResultMasking(), Summarizing(summarizer))).plan(messages)
    assert plan.wanted is not None and plan.tokens_after < plan.tokens_before and messages == copies


def test_an_update_removes_by_id() -> None:
    plan = condenser().plan(chat(9))
    update = plan.update("notes")["notes"]
    assert all(isinstance(m, RemoveMessage) for m in update)
    assert [m.id for m in update] == [m.id for m in plan.removed] == list(plan.reasons)


def test_messages_without_ids_can_be_planned_but_not_updated() -> None:
    plan = condenser().plan([m.model_copy(update={"id": None}) for m in chat(9)])
    assert plan and len(plan.after) < 37 and validate(plan.after) == []
    with pytest.raises(InvalidInputError, match="the list itself"):
        plan.update()


def test_a_plan_is_shown_as_text_as_a_table_and_as_html() -> None:
    plan = condenser(Summarizing(lambda messages: "Short notes.")).plan(chat(9))
    assert "a summary, to be written" in str(plan) and "about" in str(plan)
    plan = condenser(Summarizing(lambda messages: "Short notes.")).condense(chat(9))
    text, page = str(plan), plan._repr_html_()
    assert "Summary of the earlier" in text and text.splitlines()[3].startswith("+ human")
    assert [line[0] for line in text.splitlines()[1:4]] == [" ", " ", "+"]
    assert "system-stays" in text and f"{plan.tokens_before:,} → {plan.tokens_after:,} tokens" in text
    assert "&lt;b&gt;help" in page and "<b>" not in page and "summarised" in page
    console = Console(file=io.StringIO(), width=160)
    console.print(plan)
    assert "[you]" in console.file.getvalue() and "Summary of the" in console.file.getvalue()  # type: ignore[attr-defined]


def test_masking_leaves_the_latest_the_small_the_excluded_and_the_pinned() -> None:
    messages = [*chat(1), *step(20, "x"), *step(21, tool="keep"), *map(pin, step(22)), *chat(6)[5:]]
    strategy = ToolResultMasking(keep_results=2, exclude_tools=["keep"])
    plan = condenser(strategy).plan(messages)
    changed = {old.id for old, _ in plan.replaced}
    assert changed == {"r0", "r1", "r2", "r3"}
    assert all(mark_of(new)["chars"] == 360 and getattr(new, "artifact", "") is None for _, new in plan.replaced)
    assert plan.replaced[0][0].artifact == {"rows": 3}  # type: ignore[attr-defined]
    assert validate(plan.after, before=messages) == [] and not condenser(strategy).plan(plan.after)


def test_truncation_keeps_both_ends() -> None:
    big = ToolMessage("start" + "x" * 5000 + "end", tool_call_id="c0", id="r0")
    messages = [big if m.id == "r0" else m for m in chat(9)]
    plan = condenser(ToolResultTruncation(max_chars=200)).plan(messages)
    short = next(m for m in plan.after if m.id == "r0").text
    assert short.startswith("start") and short.endswith("end") and len(short) <= 200 and "5008" in short


def test_the_current_turn_is_masked_only_if_nothing_else_helps() -> None:
    messages = [*chat(4), HumanMessage("now", id="now"), *step(30), *step(31), *step(32)]
    masking = ToolResultMasking(keep_results=1)
    gentle = condenser(masking, trigger=("tokens", 700), keep=("tokens", 600)).plan(messages)
    assert {old.id for old, _ in gentle.replaced} == {"r0", "r1", "r2", "r3"}
    hard = condenser(masking, trigger=("tokens", 300), keep=("tokens", 200)).plan(messages)
    assert {old.id for old, _ in hard.replaced} == {"r0", "r1", "r2", "r3", "r30", "r31"}


def test_a_turn_that_is_too_large_alone_loses_its_oldest_steps_only() -> None:
    messages = [*chat(1), HumanMessage("now", id="now"), *(m for n in range(40, 60) for m in step(n)[:2])]
    plan = condenser().plan(messages)
    assert plan.tokens_after <= 300 and validate(plan.after, before=messages) == []
    assert [m.id for m in plan.after[:3]] == ["s", "h0", "now"] and plan.after[-1].id == "r59"
    assert plan.reasons["r40"] == "old; the turn alone is too large"
    fits = [*chat(9), HumanMessage("now", id="now"), *(m for n in range(40, 44) for m in step(n)[:2])]
    assert all(m in condenser().plan(fits).after for m in fits[37:])


def test_a_large_first_message_is_bounded_not_lost() -> None:
    messages = chat(9)
    messages[1] = HumanMessage("begin " + "x" * 9000 + " end", id="h0")
    rules = [FirstUserStays(max_tokens=100) if isinstance(rule, FirstUserStays) else rule for rule in RULES]
    ours = condenser(rules=rules)
    plan = ours.plan(messages)
    first = plan.after[1]
    assert first.id == "h0" and first.text.startswith("begin") and first.text.endswith("end") and len(first.text) < 400
    assert plan.tokens_after <= 300 and validate(plan.after, before=messages) == [] and not ours.plan(plan.after)
    pinned = [messages[0], pin(messages[1]), *messages[2:]]
    assert ours.plan(pinned).after[1] == pinned[1]
    image = {"type": "image_url", "image_url": {"url": "x" * 9000}}
    messages[1] = HumanMessage([{"type": "text", "text": "y" * 9000}, image], id="h0")
    assert isinstance(ours.plan(messages).after[1].content, str)
    assert not condenser(rules=rules).plan([messages[0], messages[1]]).replaced, "it is the current question"


def test_a_custom_pin() -> None:
    plan = condenser(pinned=lambda message: message.id == "r3").plan(chat(9))
    assert {"t3", "r3"} <= {m.id for m in plan.after} and "a3" not in {m.id for m in plan.after}


def test_a_pipeline_stops_when_the_goal_is_met() -> None:
    asked = list[int]()

    def summarizer(messages: list[BaseMessage]) -> str:
        asked.append(len(messages))
        return "Notes."

    strategy = Pipeline(ToolResultMasking(keep_results=1), Summarizing(summarizer))
    assert strategy.name == "tool-result-masking → summarizing"
    assert condenser(strategy, trigger=("tokens", 900), keep=("tokens", 700)).condense(chat(9)).replaced and not asked
    assert condenser(strategy, keep=("tokens", 200)).condense(chat(9)).inserted and asked
    with pytest.raises(ConfigurationError):
        Pipeline()


def test_strategies_may_say_how_much_they_keep() -> None:
    ours = Condenser(RecentMessages(keep=("messages", 10)), archive=None)
    assert len(ours.plan(chat(5)).after) <= 10 and not ours.plan(chat(4))
    assert Pipeline(NoOp(), RecentMessages(keep=("messages", 10))).keep == ("messages", 10)


def test_the_record_holds_ids_digests_and_reasons() -> None:
    plan = condenser(Pipeline(ToolResultMasking(keep_results=1), RecentMessages())).condense(chat(9))
    items = archived(plan)
    record = condensation_of(plan, items, thread_id="t", checkpoint_ns="", key="messages")
    assert record.before == [m.id for m in plan.before] and record.after == [m.id for m in plan.after]
    assert set(record.removed) == {m.id for m in plan.removed} and set(record.reasons) == {item.id for item in items}
    assert all(item.message is plan.before[item.position] for item in items)
    assert type(record).model_validate_json(record.model_dump_json()) == record
    same = plan.before[0].model_copy(deep=True)
    assert digest_of(same) == digest_of(plan.before[0])
    assert digest_of(same.model_copy(update={"additional_kwargs": {"a": 1}})) != digest_of(same)


def test_an_id_says_what_goes_and_from_which_list() -> None:
    removed = chat(9)[2:5]
    here, there = condensation_id(chat(9), removed, []), condensation_id(chat(8), removed, [])
    assert here == condensation_id(chat(9), removed, []) and len({here, there}) == 2
    assert here != condensation_id(chat(9), chat(9)[2:6], [])
    assert here != condensation_id(chat(9), removed, [(removed[0], pin(removed[0]))])


def test_the_guard_asks_no_model_and_waits_for_humans_and_tools() -> None:
    ours = condenser(Pipeline(Summarizing(lambda messages: "Notes."), RecentMessages()))
    assert guarded(ours, chat(9)) and not guarded(ours, chat(9)).inserted
    waiting, working = guarded(ours, chat(9), waiting=True), guarded(ours, [*chat(9), *step(50)[:1]])
    assert not waiting and "waits for a human" in str(waiting)
    assert not working and "tools are at work" in str(working)
