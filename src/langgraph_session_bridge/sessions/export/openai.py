"""OpenAI's chat messages: one JSON object in one line, `{"messages": […]}`, as its fine-tuning takes it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, convert_to_openai_messages

from langgraph_session_bridge.sessions.export.texts import text_of
from langgraph_session_bridge.sessions.export.timeline import Source

_PARTS = ("text", "image_url", "input_audio", "file", "refusal")


async def write(source: Source) -> AsyncGenerator[str, None]:
    """All messages, with those that condensers removed."""
    yield '{"messages": ['
    for position, message in enumerate(await source.messages()):
        yield (", " if position else "") + json.dumps(openai_message(message), ensure_ascii=False)
    yield "]}\n"


def openai_message(message: BaseMessage) -> dict[str, Any]:
    """A message as OpenAI's API takes it; what it has no form for becomes text."""
    try:
        found = convert_to_openai_messages(message)
    except ValueError:  # a kind of content that the conversion does not know
        found = convert_to_openai_messages(message.model_copy(update={"content": text_of(message)}))
    assert isinstance(found, dict)
    if isinstance(found.get("content"), list):
        found["content"] = [_part(part) for part in found["content"]]
    return found


def _part(part: Any) -> Any:
    """A part of a content; one that OpenAI does not know, as text."""
    if isinstance(part, dict) and part.get("type") in _PARTS:
        return part
    return {"type": "text", "text": text_of(HumanMessage([part]))}
