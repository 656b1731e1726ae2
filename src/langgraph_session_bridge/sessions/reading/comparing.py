"""What changed between two states, channel by channel: messages by their ids, other values from old to new. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict, Field

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.capture.plain import canonical, plain


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class ItemChange(_Model):
    """One message that is not as it was."""

    id: str
    type: str
    before: str | None = None
    """What was shown of it before; nothing if it was not there."""
    after: str | None = None


class ChannelChange(_Model):
    """One channel that is not as it was.

    Lists of messages tell which came, went and changed; of other values there is the text before and after.
    """

    channel: str
    kind: Literal["added", "removed", "changed"]
    before: str | None = None
    after: str | None = None
    added: list[ItemChange] = Field(default_factory=list)
    removed: list[ItemChange] = Field(default_factory=list)
    changed: list[ItemChange] = Field(default_factory=list)
    reordered: bool = False
    """Whether messages that are in both lists stand in another order."""


class StateDiff(_Model):
    """What changed between two checkpoints; texts are redacted and shortened."""

    before: str
    """The checkpoint that is compared."""
    after: str
    """The one that it is compared with."""
    channels: list[ChannelChange] = Field(default_factory=list)
    unread: list[str] = Field(default_factory=list)
    """Channels that cannot be read without their graph (a `DeltaChannel`): pass `graph`."""


def compare(before: Mapping[str, Any], after: Mapping[str, Any], capture: Capture) -> list[ChannelChange]:
    """The channels that differ, by name.

    Args:
        before: Values by channel.
        after: The values that they are compared with.
        capture: Redacts and shortens what is shown.
    """
    found = [_channel(name, before, after, capture) for name in sorted({*before, *after})]
    return [change for change in found if change is not None]


def _channel(name: str, before: Mapping[str, Any], after: Mapping[str, Any], capture: Capture) -> ChannelChange | None:
    if name in before and name in after and _same(before[name], after[name]):
        return None
    kind: Literal["added", "removed", "changed"] = (
        "changed" if name in before and name in after else "added" if name in after else "removed"
    )
    old, new = _messages(before.get(name, [])), _messages(after.get(name, []))
    if old is not None and new is not None and (old or new):
        return _list_change(name, kind, old, new, capture)
    return ChannelChange(
        channel=name,
        kind=kind,
        before=_shown(before[name], capture, name) if name in before else None,
        after=_shown(after[name], capture, name) if name in after else None,
    )


def _messages(value: Any) -> dict[str, BaseMessage] | None:
    """Messages by id, in order; nothing if it is no list of messages with ids of their own."""
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        return None
    found = {each.id: each for each in value if isinstance(each, BaseMessage) and each.id}
    return found if len(found) == len(value) else None


def _list_change(
    name: str,
    kind: Literal["added", "removed", "changed"],
    old: Mapping[str, BaseMessage],
    new: Mapping[str, BaseMessage],
    capture: Capture,
) -> ChannelChange:
    both = [id for id in old if id in new]
    return ChannelChange(
        channel=name,
        kind=kind,
        added=[_item(id, None, new[id], capture) for id in new if id not in old],
        removed=[_item(id, old[id], None, capture) for id in old if id not in new],
        changed=[_item(id, old[id], new[id], capture) for id in both if not _same(old[id], new[id])],
        reordered=both != [id for id in new if id in old],
    )


def _item(id: str, old: BaseMessage | None, new: BaseMessage | None, capture: Capture) -> ItemChange:
    message = new if new is not None else old
    assert message is not None
    return ItemChange(id=id, type=message.type, before=_said(old, capture), after=_said(new, capture))


def _said(message: BaseMessage | None, capture: Capture) -> str | None:
    """What a message says and calls."""
    if message is None:
        return None
    calls = getattr(message, "tool_calls", None)
    if not calls:
        return _shown(message.content, capture, "")
    asked = [{"tool": call["name"], "args": call["args"]} for call in calls]
    return _shown({"content": message.content, "calls": asked} if message.content else {"calls": asked}, capture, "")


def _shown(value: Any, capture: Capture, name: str) -> str | None:
    taken = capture.take(value, key=name)
    if taken.text is None:
        return f"<{taken.bytes:,} bytes>"
    return f"{taken.text}…" if taken.truncated else taken.text


def _same(one: Any, other: Any) -> bool:
    """As JSON: what is equal in Python may differ there (1 and True), and some values compare as arrays."""
    return type(one) is type(other) and canonical(plain(one)) == canonical(plain(other))
