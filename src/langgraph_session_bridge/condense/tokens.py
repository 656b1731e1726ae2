"""How large messages are: approximate tokens unless a tokenizer is given, and bytes as the state stores them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_session_bridge.errors import ConfigurationError

TokenCounter = Callable[[Sequence[BaseMessage]], int]
"""Counts the tokens of a list of messages (LangChain's `token_counter`)."""

Tokens = Literal["approximate", "reported"] | TokenCounter | BaseLanguageModel[Any]
"""`approximate`: four characters a token, as LangChain counts. `reported`: the same, scaled by what the model's latest
answer says it read and wrote. Or a function, or a model with a tokenizer."""

CHARS_PER_TOKEN = 4
PER_MESSAGE = 3
MOST_SCALING = 1.25
"""Usage was reported for what the model saw then: tools too, and perhaps a longer history."""

_ROLE_CHARS = {"human": 4, "ai": 9, "AIMessageChunk": 9, "HumanMessageChunk": 4, "system": 6, "tool": 4}
_AI_CHARS = _ROLE_CHARS["ai"]
_SERDE = JsonPlusSerializer()


def approximate(message: BaseMessage) -> int:
    """Tokens of one message as `count_tokens_approximately` counts them, which is slower for a plain one."""
    content, kind, name = message.content, message.type, message.name
    role = _ROLE_CHARS.get(kind)
    if role is None or not isinstance(content, str):
        return count_tokens_approximately([message])
    chars = len(content) + role
    if name:
        chars += len(name)
    if kind == "tool":
        chars += len(message.tool_call_id)  # type: ignore[attr-defined]
    elif role == _AI_CHARS and (calls := message.tool_calls):  # type: ignore[attr-defined]
        chars += len(repr(calls))
    return -(-chars // CHARS_PER_TOKEN) + PER_MESSAGE


def stored_bytes(message: BaseMessage) -> int:
    """Bytes of one message as LangGraph's serializer writes it."""
    return len(_SERDE.dumps_typed(message)[1])


def token_sizes(tokens: Tokens | object) -> Callable[[Sequence[BaseMessage]], list[int]]:
    """A function that tells the tokens of each message.

    Raises:
        ConfigurationError: It is none of the known ways to count.
    """
    if tokens == "approximate":
        return lambda messages: [approximate(message) for message in messages]
    if tokens == "reported":
        return _reported
    if isinstance(tokens, BaseLanguageModel):
        model = tokens
        return lambda messages: [model.get_num_tokens_from_messages([message]) for message in messages]
    if not callable(tokens):
        message = f"tokens={tokens!r} is no way to count; use 'approximate', 'reported', a function or a model."
        raise ConfigurationError(message)
    counter = cast("TokenCounter", tokens)
    return lambda messages: [counter([message]) for message in messages]


def _reported(messages: Sequence[BaseMessage]) -> list[int]:
    sizes = [approximate(message) for message in messages]
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, AIMessage) and message.usage_metadata:
            factor = message.usage_metadata["total_tokens"] / max(1, sum(sizes[: index + 1]))
            factor = min(MOST_SCALING, max(1.0, factor))
            return [math.ceil(size * factor) for size in sizes]
    return sizes
