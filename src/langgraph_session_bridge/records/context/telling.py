"""What is put before the model, for one call: it is added to the messages of that call and to nothing that is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol
from xml.sax.saxutils import quoteattr

from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage

Role = Literal["system", "user"]
"""Where a text goes: to the end of the system message, or into a message of its own before the user's last one.

What others wrote (documents, web pages) is better told as `user`: a model obeys its system message.
"""


class Told(Protocol):
    """What `with_context` needs to know of a text."""

    @property
    def content(self) -> str:
        """The text."""
        ...

    @property
    def kind(self) -> str:
        """What it is."""
        ...

    @property
    def source(self) -> str | None:
        """Where it comes from."""
        ...

    @property
    def role(self) -> Role:
        """Where it goes."""
        ...


Render = Callable[[Sequence[Told]], str]


def rendered(items: Sequence[Told]) -> str:
    """The texts, each between tags that say what it is."""
    return "\n\n".join(f"<context{_attributes(item)}>\n{item.content}\n</context>" for item in items)


def _attributes(item: Told) -> str:
    source = f" source={quoteattr(item.source)}" if item.source else ""
    return f" kind={quoteattr(item.kind)}{source}"


def with_context(
    messages: Sequence[AnyMessage], items: Sequence[Told], *, render: Render = rendered
) -> list[AnyMessage]:
    """The messages of one model call with queued context in them.

    There stays one system message: a leading one is extended (in a copy), otherwise one is put in front. Context for
    the role `user` becomes a message right before the last of the user's, so that calls of tools and their answers
    stay together; without any message of the user's it comes last.

    Args:
        messages: Messages of the conversation; neither the list nor a message in it is changed.
        items: What is to be told, for example what `queue.taking()` gives.
        render: Makes the text that the model reads.

    Returns:
        A list for `model.invoke`, not for the state.
    """
    result = list(messages)
    first = result[0] if result else None
    if system := [item for item in items if item.role == "system"]:
        if isinstance(first, SystemMessage):
            result[0] = extended(first, system, render=render)
        else:
            result.insert(0, extended(None, system, render=render))
    if user := [item for item in items if item.role == "user"]:
        humans = [position for position, message in enumerate(result) if isinstance(message, HumanMessage)]
        result.insert(humans[-1] if humans else len(result), HumanMessage(render(user)))
    return result


def extended(message: SystemMessage | None, items: Sequence[Told], *, render: Render = rendered) -> SystemMessage:
    """A system message with context at its end; the message itself stays as it is."""
    text = render(items)
    if message is None:
        return SystemMessage(text)
    content: Any = message.content
    if isinstance(content, str):
        content = f"{content}\n\n{text}" if content else text
    else:
        content = [*content, {"type": "text", "text": text}]
    return message.model_copy(update={"content": content})


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedContext:
    """A text that waits for the next model call of a thread.

    Attributes:
        id: Id of its record.
        thread_id: The thread.
        content: What the model is told.
        kind: What it is.
        source: Where it comes from.
        role: Where it goes.
        priority: Higher ones go first, and are dropped last.
        queued_at: Since when it waits (UTC).
        expires_at: When it is no longer worth telling.
        order: Sorts those of one priority by when they were queued.
    """

    id: str
    thread_id: str
    content: str
    kind: str
    queued_at: datetime
    source: str | None = None
    role: Role = "system"
    priority: int = 0
    expires_at: datetime | None = None
    order: str = ""
