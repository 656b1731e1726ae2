"""Redaction of what is exported: the secrets that records are kept without, wherever they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langgraph_session_bridge.errors import InvalidTypeError
from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.capture.plain import plain
from langgraph_session_bridge.records.capture.secrets import REDACTED
from langgraph_session_bridge.sessions.export.entries import Entry
from langgraph_session_bridge.sessions.models import Session

Redact = bool | Callable[[str], str]
"""Whether secrets are redacted; a function gets each text besides, and returns it without what must not be shown."""

Message = TypeVar("Message", bound=BaseMessage)

_DESCRIBING = ("title", "tags", "metadata", "app_name", "agent_name", "evaluation")
_OURS = 1
"""How deep facts of an entry have names that are ours, and not what somebody said."""


def _names(name: str) -> bool:
    """Whether a fact names something, and cannot be a secret."""
    return name in ("id", "role", "type", "status") or name.endswith("_id")


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
        changed = {"title": self.text(entry.title), "text": self.text(entry.text), "data": self._facts(entry.data)}
        return entry.model_copy(update=changed)

    def _facts(self, facts: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
        """Facts under names of ours, which stay; what is deeper, or the application's, has names of its own."""
        return {name: value if _names(name) else self._fact(name, value, depth) for name, value in facts.items()}

    def _fact(self, name: str, value: Any, depth: int) -> Any:
        announced = self._capture.cleaned("", name) == REDACTED
        if depth < _OURS and name != "metadata" and not announced:
            if isinstance(value, dict):
                return self._facts(value, depth + 1)
            if isinstance(value, list):
                return [self._facts(each, depth + 1) if isinstance(each, dict) else self.tree(each) for each in value]
        return self._capture.cleaned(plain(value), name)

    def message(self, message: Message) -> Message:
        """What a message says and calls, without its secrets; what else the provider told is left out."""
        changed: dict[str, Any] = {"additional_kwargs": {}, "response_metadata": {}, "content": message.content}
        if isinstance(message.content, str):
            changed["content"] = self.text(message.content)
        else:
            changed["content"] = [self._facts(b) if isinstance(b, dict) else self.tree(b) for b in message.content]
        if isinstance(message, AIMessage):
            changed["tool_calls"] = [{**call, "args": self.tree(call["args"])} for call in message.tool_calls]
            changed["invalid_tool_calls"] = []
        if isinstance(message, ToolMessage):
            changed["artifact"] = None
        return message.model_copy(update=changed)

    def session(self, session: Session) -> Session:
        """A session without the secrets in what was said of it."""
        changed: dict[str, Any] = {name: self.tree(getattr(session, name)) for name in _DESCRIBING}
        config, error = session.config, session.last_error
        changed["config"] = config.model_copy(update={"context": self.tree(config.context)})
        if error is not None:
            changed["last_error"] = error.model_copy(update={"message": self.text(error.message)})
        changed["pending_interrupts"] = [
            waiting.model_copy(update={"value": self._fact("value", waiting.value, 0)})
            for waiting in session.pending_interrupts
        ]
        changed["transitions"] = [
            move if move.reason is None else move.model_copy(update={"reason": self.text(move.reason)})
            for move in session.transitions
        ]
        return session.model_copy(update=changed)


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
