"""ShareGPT: `{"conversations": [{"from": …, "value": …}]}`, with `function_call` and `observation` for tools."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator

from langchain_core.messages import BaseMessage

from langgraph_session_bridge.sessions.export.texts import calls_of, role_of, text_of
from langgraph_session_bridge.sessions.export.timeline import Source

_FROM = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation", "other": "human"}


async def write(source: Source) -> AsyncGenerator[str, None]:
    """All messages, with those that condensers removed."""
    yield json.dumps({"id": source.session.session_id}, ensure_ascii=False)[:-1] + ', "conversations": ['
    position = 0
    for message in await source.messages():
        for turn in turns(message):
            yield (", " if position else "") + json.dumps(turn, ensure_ascii=False)
            position += 1
    yield "]}\n"


def turns(message: BaseMessage) -> Iterator[dict[str, str]]:
    """What a message is: what it says, and then the tools that it calls, one or a list."""
    calls = [{"name": call["name"], "arguments": call["args"]} for call in calls_of(message)]
    text = text_of(message)
    if text or not calls:
        yield {"from": _FROM[role_of(message)], "value": text}
    if calls:
        value = json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False, default=str)
        yield {"from": "function_call", "value": value}
