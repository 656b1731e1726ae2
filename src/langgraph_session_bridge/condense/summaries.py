"""A summary: whether an answer is one, how it stands in the state, and whether it is short enough."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langgraph_session_bridge.condense.marks import MARK, mark_of
from langgraph_session_bridge.condense.tokens import PER_MESSAGE

HEADING = "Summary of the earlier conversation, whose messages were archived:\n\n"

_CUT_OFF = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "incomplete", "content_filter"})
_REASONS = ("finish_reason", "stop_reason", "done_reason", "status")
_MARKUP = re.compile(
    r"</?tool_calls?>|<\|?tool[_▁]calls?|\[TOOL_CALLS?\]|<function[=_ ]|</?invoke\b|<\|python_tag\|>"
    r"|```tool_(?:code|call)|\"tool_calls\"\s*:|\bfunctools\[",
    re.IGNORECASE,
)
_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?</\1>", re.IGNORECASE | re.DOTALL)
_ECHO = re.compile(r"</?conversation>", re.IGNORECASE)
_OPEN_THINKING = re.compile(r"<(think|thinking|reasoning)>", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What came back.

    Attributes:
        text: The summary, if it may be used.
        refused: Why it may not.
        usage: What the model says it read and wrote.
        model: What the model says it is.
    """

    text: str = ""
    refused: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""


def judged(answer: object) -> Written:
    """Whether an answer is a summary: text, complete, and not an attempt to call a tool."""
    if isinstance(answer, str):
        return _judged_text(answer, {}, "")
    if not isinstance(answer, BaseMessage):
        return Written(refused=f"the summary is a {type(answer).__name__}, neither text nor a message")
    metadata = answer.response_metadata
    usage = dict(getattr(answer, "usage_metadata", None) or {})
    model = str(metadata.get("model_name") or metadata.get("model") or "")
    for name in _REASONS:
        if str(metadata.get(name, "")).lower() in _CUT_OFF:
            return Written(refused=f"the summary was cut off ({name} is {metadata[name]})", usage=usage, model=model)
    if isinstance(answer, AIMessage) and (answer.tool_calls or answer.invalid_tool_calls):
        return Written(refused="the summary calls a tool", usage=usage, model=model)
    return _judged_text(answer.text, usage, model)


def _judged_text(text: str, usage: Mapping[str, Any], model: str) -> Written:
    text = _ECHO.sub("", _THINKING.sub("", text)).strip()
    if not text:
        return Written(refused="the summary is empty", usage=usage, model=model)
    if _OPEN_THINKING.search(text):
        return Written(refused="the summary ends in thoughts", usage=usage, model=model)
    if _MARKUP.search(text):
        return Written(refused="the summary contains markup of a tool call", usage=usage, model=model)
    return Written(text=text, usage=usage, model=model)


def summary_message(text: str, condensation_id: str, covered: Sequence[str], count: int) -> HumanMessage:
    """A summary as it stands in the state, plain data with an id that a second try finds again."""
    note = {"kind": "summary", "condensation": condensation_id, "covers": list(covered), "messages": count}
    return HumanMessage(HEADING + text, id=summary_id(condensation_id), additional_kwargs={MARK: note})


def summary_id(condensation_id: str) -> str:
    """Id of the summary of a condensation."""
    return f"cond-{condensation_id}-summary"


def too_long(tokens: int, replaced: int, max_tokens: int) -> str:
    """Why a summary of so many tokens is not used, empty if it may be."""
    if tokens >= replaced:
        return f"the summary is not smaller than what it replaces ({tokens} tokens for {replaced})"
    if tokens > max_tokens:
        return f"the summary is longer than it may be ({tokens} tokens, not {max_tokens})"
    return ""


def expected_tokens(max_tokens: int, replaced: int) -> int:
    """How large a summary is taken to be before it is written."""
    return max(PER_MESSAGE, min(max_tokens, replaced - 1))


def covered_by(summaries: Sequence[BaseMessage]) -> list[str]:
    """Ids of summaries, and of those that went into them."""
    ids: dict[str, None] = {}
    for message in summaries:
        ids.update(dict.fromkeys([str(message.id), *mark_of(message).get("covers", ())]))
    return list(ids)
