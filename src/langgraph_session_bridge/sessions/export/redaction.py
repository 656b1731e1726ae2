"""Redaction of what is exported: the secrets that records are kept without, wherever they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage

from langgraph_session_bridge.errors import InvalidTypeError
from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.capture.plain import plain
from langgraph_session_bridge.sessions.export.entries import Entry
from langgraph_session_bridge.sessions.models import Session

Redact = bool | Callable[[str], str]
"""Whether secrets are redacted; a function gets each text besides, and returns it without what must not be shown."""

Message = TypeVar("Message", bound=BaseMessage)

_DESCRIBING = ("title", "tags", "metadata", "app_name", "agent_name", "config", "last_error", "evaluation")
_SPOKEN = ("content", "tool_calls", "invalid_tool_calls", "additional_kwargs", "response_metadata", "artifact")


class Redaction:
    """Takes secrets out of entries, messages and sessions; ids and times stay."""

    def __init__(self, capture: Capture) -> None:
        """Redacts by the rules of a capture."""
        self._capture = capture

    def tree(self, value: Any) -> Any:
        """A value as plain JSON, without its secrets."""
        return self._capture.cleaned(plain(value))

    def text(self, value: str) -> str:
        """A text without its secrets."""
        return str(self._capture.cleaned(value))

    def entry(self, entry: Entry) -> Entry:
        """An entry without its secrets."""
        changed = {"title": self.text(entry.title), "text": self.text(entry.text), "data": self.tree(entry.data)}
        return entry.model_copy(update=changed)

    def message(self, message: Message) -> Message:
        """A message without its secrets."""
        held = {name: getattr(message, name) for name in _SPOKEN if hasattr(message, name)}
        return message.model_copy(update={name: self.tree(value) for name, value in held.items() if value})

    def session(self, session: Session) -> Session:
        """A session without the secrets in what was said of it."""
        held = session.model_dump(mode="json", by_alias=True)
        changed = {name: self.tree(held[name]) for name in _DESCRIBING if held[name]}
        for name in ("pending_interrupts", "transitions"):
            changed[name] = self.tree(held[name])
        return Session.model_validate({**held, **changed})


def redaction_of(redact: Redact, capture: Capture) -> Redaction | None:
    """What redacts, or nothing.

    Raises:
        InvalidTypeError: It is neither a truth value nor a function.
    """
    if redact is False:
        return None
    if redact is True:
        return Redaction(capture)
    if not callable(redact):
        raise InvalidTypeError(f"redact is True, False or a function from text to text, not {redact!r:.60}.")
    return Redaction(replace(capture, redactors=(*capture.redactors, redact)))
