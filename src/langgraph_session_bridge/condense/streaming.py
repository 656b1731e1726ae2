"""Keeps what a condenser writes to the state out of `stream_mode="messages"`: nobody said it to the user."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.pregel._messages import StreamMessagesHandler


def hide(config: RunnableConfig | None, messages: Iterable[object]) -> None:
    """Marks messages as streamed already; LangGraph streams every message of an update that it has not seen."""
    callbacks = (config or {}).get("callbacks")
    handlers = callbacks if isinstance(callbacks, list) else getattr(callbacks, "handlers", [])
    seen = {message.id for message in messages if isinstance(message, BaseMessage) and message.id}
    for handler in handlers:
        if isinstance(handler, StreamMessagesHandler):
            handler.seen.update(seen)
