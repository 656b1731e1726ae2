"""A model writes a summary of what goes; one that is not good beyond doubt trims nothing.

A summary is written from the messages that go and from nothing else, with earlier summaries for context: those stay
word for word beside it, until there are too many of them and all are folded into one.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, get_buffer_string
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.config import merge_configs
from langgraph.constants import TAG_NOSTREAM
from langgraph.errors import GraphBubbleUp

from langgraph_session_bridge.condense.draft import BYTES_PER_TOKEN, Draft, cut
from langgraph_session_bridge.condense.marks import MARK, mark_of
from langgraph_session_bridge.condense.strategies import shortened, text_of
from langgraph_session_bridge.condense.tokens import PER_MESSAGE
from langgraph_session_bridge.condense.triggers import Size

Answer = str | BaseMessage
Summarizer = (
    Runnable[Any, Any] | Callable[[list[BaseMessage]], Answer] | Callable[[list[BaseMessage]], Awaitable[Answer]]
)
"""A chat model or any other `Runnable` gets a prompt; a function gets the messages, earlier summaries first."""

PROMPT = """You compress the older part of a conversation between a user and an assistant who uses tools. \
The assistant will go on with your notes instead of that part.

Keep, briefly: what the user wants and every constraint, quoted in the user's own words where it binds; decisions and \
their reasons; facts, names, numbers, identifiers and file paths that later steps may need; what tools found or did, \
failures too; what is still open. Leave out greetings and repetitions. Do not answer the user and do not call tools. \
Write at most {words} words of plain text and nothing else."""
HEADING = "Summary of the earlier conversation, whose messages were archived:\n\n"
LEAST_TOKENS = 24
"""With less room than this nothing useful can be said."""

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
class SummaryRequest:
    """A summary to be written.

    Attributes:
        indexes: Messages that it replaces, earlier summaries that are folded into it included.
        position: Before which message of the chat it stands.
        context: Earlier summaries that stay.
        max_tokens: How long it may be.
        strategy: Who writes it.
    """

    indexes: list[int]
    position: int
    context: list[int]
    max_tokens: int
    strategy: Summarizing


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


class Summarizing:
    """Replaces the oldest messages by a summary.

    Args:
        summarizer: Who writes it: a chat model or another `Runnable`, or a function, which gets the messages.
        max_tokens: The longest summary; never more than a quarter of what is kept. A longer one is refused.
        prompt: Instructions for a `Runnable`, `{words}` being the length; `None` hands it the messages themselves.
        max_summaries: How many summaries stand side by side before they are folded into the next one.
        max_input_chars: The longest text that is summarised; of a longer one the middle is left out.
        max_message_chars: The same for one message.
        keep: How much stays, unless the condenser is told.
    """

    name = "summarizing"

    def __init__(
        self,
        summarizer: Summarizer,
        *,
        max_tokens: int = 1000,
        prompt: str | None = PROMPT,
        max_summaries: int = 2,
        max_input_chars: int = 100_000,
        max_message_chars: int = 4000,
        keep: Size | None = None,
    ) -> None:
        self.keep = keep
        self.max_tokens = max_tokens
        self.max_summaries = max_summaries
        self._prompted = isinstance(summarizer, Runnable) and prompt is not None
        self._prompt = prompt or ""
        self._max_input_chars = max_input_chars
        self._max_message_chars = max_message_chars
        self._runnable: Runnable[Any, Any] = (
            summarizer if isinstance(summarizer, Runnable) else RunnableLambda(summarizer)
        )

    # Deciding

    def edit(self, draft: Draft) -> None:
        """Lets the oldest go, and asks for a summary of them."""
        if not draft.summaries or draft.request is not None:
            return
        room = self._room(draft)
        draft.room = {"tokens": room, "messages": 1, "bytes": room * BYTES_PER_TOKEN}
        if draft.over() - draft.room.get(draft.goal.unit, 0) <= 0:
            draft.room = {}
            return
        indexes = cut(draft, "summarised")
        if not indexes:
            draft.room = {}
            return
        room = _fitting(draft, room)
        if room < LEAST_TOKENS:
            draft.restore(indexes)
            draft.room = {}
            draft.notes.append("what must stay leaves no room for a summary")
            return
        kept, pinned = draft.chat.summaries, draft.pinned()
        foldable = [draft.chat.unit_of[index] for index in kept if draft.chat.unit_of[index] not in pinned]
        if len(foldable) >= self.max_summaries:
            folded = draft.drop(foldable, "folded into the next summary")
            indexes, kept = sorted([*folded, *indexes]), [index for index in kept if index not in folded]
        draft.request = SummaryRequest(
            indexes=indexes, position=_position(draft, indexes[0]), context=kept, max_tokens=room, strategy=self
        )

    def _room(self, draft: Draft) -> int:
        goal = draft.goal
        if goal.unit not in ("tokens", "bytes"):
            return self.max_tokens
        limit = goal.limit if goal.unit == "tokens" else goal.limit // BYTES_PER_TOKEN
        return max(LEAST_TOKENS, min(self.max_tokens, limit // 4))

    # Writing

    def write(self, given: list[BaseMessage], max_tokens: int, config: RunnableConfig | None, note: str) -> Written:
        """Asks for a summary of messages; whatever goes wrong is an answer too."""
        try:
            answer = self._runnable.invoke(self._input(given, max_tokens), _internal(config, note))
        except GraphBubbleUp:
            raise
        except Exception as error:  # a model's errors are anything; none of them may cost messages or the run
            return Written(refused=f"the summary failed: {type(error).__name__}: {error}")
        return judged(answer)

    async def awrite(
        self, given: list[BaseMessage], max_tokens: int, config: RunnableConfig | None, note: str
    ) -> Written:
        """`write` on an event loop."""
        try:
            answer = await self._runnable.ainvoke(self._input(given, max_tokens), _internal(config, note))
        except GraphBubbleUp:
            raise
        except Exception as error:  # as above
            return Written(refused=f"the summary failed: {type(error).__name__}: {error}")
        return judged(answer)

    def _input(self, given: list[BaseMessage], max_tokens: int) -> list[BaseMessage]:
        if not self._prompted:
            return given
        rendered = [
            message.model_copy(update={"content": shortened(text_of(message), self._max_message_chars)})
            for message in given
        ]
        transcript = shortened(get_buffer_string(rendered), self._max_input_chars)
        instructions = self._prompt.replace("{words}", str(max(15, int(max_tokens * 0.6))))
        end = "Write the notes on this conversation now, and nothing else."
        return [SystemMessage(instructions), HumanMessage(f"<conversation>\n{transcript}\n</conversation>\n\n{end}")]


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


def _fitting(draft: Draft, room: int) -> int:
    """The room for a summary, less where what must stay would fit without one only."""
    others = draft.total("tokens") - draft.room["tokens"]
    if draft.goal.unit != "tokens" or others >= draft.goal.ceiling:
        return room
    return int(min(room, draft.goal.ceiling - 1 - others))


def _position(draft: Draft, first: int) -> int:
    """Where the summary goes: where the first message was, after the task, never between a call and its result."""
    chat = draft.chat
    least = max(len(chat.heads), 0 if chat.first_user is None else chat.first_user + 1)
    spans = [unit for unit in chat.units if len(unit) > 1 and not draft.gone[unit[0]]]
    at = max(first, least)
    places: list[int] = [*range(at, least - 1, -1), *range(at + 1, len(chat.messages))]
    for place in places:
        if not any(unit[0] < place <= unit[-1] for unit in spans):
            return place
    return at


def _internal(config: RunnableConfig | None, note: str) -> RunnableConfig:
    """A configuration for a call that is not the user's: it doesn't stream, and observers can book it apart."""
    metadata: dict[str, Any] = {"lc_source": "summarization", "lsb_condensation": note}
    try:
        from langchain.agents.middleware.internal_call_transformer import internal_call_metadata
    except ImportError:  # without the extra `agents` nothing looks for it
        pass
    else:
        metadata.update(internal_call_metadata())
    return merge_configs(config, {"tags": [TAG_NOSTREAM], "metadata": metadata, "run_name": "condense"})
