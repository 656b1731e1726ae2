"""Where removed messages go before they are removed: what a condenser needs of a store, and what it hands over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict, Field

from langgraph_session_bridge.condense.plan import CondensationPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedMessage:
    """A message as it was before a condensation removed or changed it.

    Attributes:
        id: Its id. Forks may hold different messages under one id; `digest` tells them apart.
        digest: Digest of everything in it.
        message: The message.
        fate: What happened to it in the state.
        reason: Why.
        position: Where it stood in the list.
    """

    id: str
    digest: str
    message: BaseMessage
    fate: Literal["removed", "replaced"]
    reason: str
    position: int


class Condensation(BaseModel):
    """The record of one condensation; with its messages it can be undone exactly.

    Attributes:
        id: Digest of what went and of the list that it stood in; trying again after a crash gives the same id.
        thread_id: The thread.
        checkpoint_ns: The graph or sub-graph whose state it is.
        key: The key of the state that holds the messages.
        checkpoint_id: The checkpoint whose messages were condensed, if that is known.
        created_at: When it was planned.
        strategy: What decided.
        trigger: What was reached, in words.
        before: Ids of all messages before, in order.
        after: Ids of all messages after, in order.
        removed: Digest of each message that went, by id.
        replaced: Digest of each message before it changed, by id.
        became: Digest of each of them after it changed.
        inserted: Ids of the messages that came: the summary.
        summary: Text of the summary.
        reasons: Why each message went or changed, by id.
        tokens_before: Tokens of all messages before.
        tokens_after: Tokens of all messages after.
        usage: What the summary took, as the model reports it; it is in no message of the state.
        model: Which model wrote the summary.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    thread_id: str
    checkpoint_ns: str = ""
    key: str = "messages"
    checkpoint_id: str = ""
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    strategy: str
    trigger: str
    before: list[str]
    after: list[str]
    removed: dict[str, str]
    replaced: dict[str, str]
    became: dict[str, str] = Field(default_factory=dict)
    inserted: list[str]
    summary: str | None = None
    reasons: dict[str, str]
    tokens_before: int
    tokens_after: int
    usage: dict[str, Any] = Field(default_factory=dict)
    model: str = ""


class MessageArchive(Protocol):
    """A store for what condensers remove.

    When either method returns, the messages and the record survive what the store promises to survive; then, and only
    then, the state is trimmed. Both are called again with the same ids after a crash, and for the same condensation of
    a replayed step; the second time changes nothing but, at most, the summary and `created_at`.
    """

    async def keep(self, thread_id: str, messages: Sequence[ArchivedMessage], condensation: Condensation) -> None:
        """Stores removed and replaced messages and the record of why.

        Raises:
            SessionBridgeError: They may not be stored; the condenser then trims nothing.
        """

    def keep_blocking(self, thread_id: str, messages: Sequence[ArchivedMessage], condensation: Condensation) -> None:
        """`keep` for graphs that run without an event loop."""


def archived(plan: CondensationPlan) -> list[ArchivedMessage]:
    """What a plan takes from the state, in the order of the list."""
    removed = {message.id: "removed" for message in plan.removed}
    fates: dict[str | None, Any] = {**removed, **{old.id: "replaced" for old, _ in plan.replaced}}
    reasons = plan.reasons
    return [
        ArchivedMessage(
            id=str(message.id),
            digest=digest_of(message),
            message=message,
            fate=fates[message.id],
            reason=reasons.get(str(message.id), ""),
            position=position,
        )
        for position, message in enumerate(plan.before)
        if message.id in fates
    ]


def condensation_of(
    plan: CondensationPlan,
    messages: Sequence[ArchivedMessage],
    *,
    thread_id: str,
    checkpoint_ns: str,
    key: str,
    checkpoint_id: str = "",
) -> Condensation:
    """The record of a plan."""
    return Condensation(
        id=plan.id,
        thread_id=thread_id,
        checkpoint_ns=checkpoint_ns,
        key=key,
        checkpoint_id=checkpoint_id,
        strategy=plan.strategy,
        trigger=plan.trigger,
        before=[str(message.id) for message in plan.before],
        after=[str(message.id) for message in plan.after],
        removed={item.id: item.digest for item in messages if item.fate == "removed"},
        replaced={item.id: item.digest for item in messages if item.fate == "replaced"},
        became={str(new.id): digest_of(new) for _, new in plan.replaced},
        inserted=[str(message.id) for message in plan.inserted],
        summary="\n".join(str(message.text) for message in plan.inserted) or None,
        reasons={item.id: item.reason for item in messages},
        tokens_before=plan.tokens_before,
        tokens_after=plan.tokens_after,
        usage=dict(plan.usage),
        model=plan.model,
    )


def digest_of(message: BaseMessage) -> str:
    """Digest of everything in a message, the same in every process."""
    data = json.dumps(message.model_dump(), sort_keys=True, default=repr)
    return hashlib.blake2b(data.encode(errors="surrogatepass"), digest_size=16).hexdigest()
