"""A model writes a summary of what goes; one that is not good beyond doubt trims nothing.

A summary is written from the messages that go and from nothing else, with earlier summaries for context: those stay
word for word beside it, until there are too many of them and all are folded into one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage, get_buffer_string
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.config import merge_configs
from langgraph.constants import TAG_NOSTREAM
from langgraph.errors import GraphBubbleUp

from langgraph_session_bridge.condense.draft import BYTES_PER_TOKEN, Draft, cut
from langgraph_session_bridge.condense.strategies import shortened, text_of
from langgraph_session_bridge.condense.summaries import Written, judged
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
LEAST_TOKENS = 24
"""With less room than this nothing useful can be said."""


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
