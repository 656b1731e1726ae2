"""A session's timeline, put together from everything that is stored of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from langgraph_session_bridge.records.query import Query
from langgraph_session_bridge.sessions.backing import Backing
from langgraph_session_bridge.sessions.export import reading
from langgraph_session_bridge.sessions.export.entries import Entry, in_order
from langgraph_session_bridge.sessions.export.redaction import Redaction
from langgraph_session_bridge.sessions.export.texts import facts_of, role_of, text_of
from langgraph_session_bridge.sessions.models import Session


class Timeline(Query[Entry]):
    """What happened in a session, oldest first: `await` it, or iterate over it in async or sync code.

    It is put together anew each time. What is held in memory is the entries, whose values are as short as records keep
    them, and the messages; never more than one state.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One session, and how it is to be read.

    Attributes:
        session: The session.
        backing: Where its parts are.
        key: Key of the state that holds the messages.
        graph: The compiled graph, where the messages cannot be read without it.
        redaction: Takes secrets out; `None` leaves everything as it is.
        kinds: Only entries of these kinds; `None` for all.
    """

    session: Session
    backing: Backing
    key: str = "messages"
    graph: Any = None
    redaction: Redaction | None = None
    kinds: frozenset[str] | None = None

    @property
    def config(self) -> RunnableConfig:
        """The newest checkpoint of its graph."""
        return {"configurable": {"thread_id": self.session.thread_id, "checkpoint_ns": ""}}

    async def messages(self) -> list[BaseMessage]:
        """All messages, with those that condensers removed."""
        found = await self.backing.transcripts.read(self.config, view="full", key=self.key, graph=self.graph)
        return found if self.redaction is None else [self.redaction.message(message) for message in found]

    async def described(self) -> Session:
        """The session, as it may be shown."""
        return self.session if self.redaction is None else self.redaction.session(self.session)

    async def entries(self) -> AsyncGenerator[Entry, None]:
        """What happened, oldest first."""
        for entry in in_order(await self._gathered()):
            if self.kinds is None or entry.kind in self.kinds:
                yield entry if self.redaction is None else self.redaction.entry(entry)

    async def _gathered(self) -> list[Entry]:
        session, ledger = self.session, self.backing.ledger
        thread_id, otherwise = session.thread_id, session.created_at
        found = [*reading.transitions(session)]  # of each kind the oldest first: times are not fine enough to tell
        seen = await self._checkpoints(found)
        tools, contexts = ledger.tool_executions(thread_id), ledger.context_injections(thread_id)
        found += [reading.tool(record, otherwise) for record in reversed(await tools)]
        found += [reading.context(record, otherwise) for record in reversed(await contexts)]
        found += reading.events(reversed(await ledger.events(thread_id)), otherwise)
        found += [reading.audio(record, otherwise) async for record in ledger.audio(thread_id)]
        condensations = await self.backing.archive.condensations(thread_id, key=self.key)
        found += map(reading.condensation, condensations)
        for record in condensations:
            for name in record.before:
                seen.note(name, record.created_at)
        found += await self._messages(seen)
        return found

    async def _checkpoints(self, found: list[Entry]) -> _Seen:
        """Adds the checkpoints, and tells when each message was there first."""
        seen = _Seen()
        config: RunnableConfig = {"configurable": {"thread_id": self.session.thread_id}}
        async with aclosing(cast("Any", self.backing.saver.alist(config))) as source:
            async for saved in source:
                entry = reading.checkpoint(saved)
                found.append(entry)
                held = saved.checkpoint["channel_values"].get(self.key)
                if entry.data["checkpoint_ns"] == "" and isinstance(held, list):
                    for message in held:
                        seen.note(getattr(message, "id", None), entry.at)
        return seen

    async def _messages(self, seen: _Seen) -> list[Entry]:
        read, config = self.backing.transcripts.read, self.config
        whole = await read(config, view="full", key=self.key, graph=self.graph)
        held = {m.id for m in await read(config, view="model", key=self.key, graph=self.graph)}
        times = seen.times(whole, self.session.created_at)
        return [_message(message, at, held) for message, at in zip(whole, times, strict=True)]


@dataclass(slots=True)
class _Seen:
    """When messages were seen first, by their ids."""

    first: dict[str, datetime] = field(default_factory=dict)

    def note(self, message_id: str | None, at: datetime) -> None:
        if message_id is not None and at < self.first.get(message_id, at.max.replace(tzinfo=at.tzinfo)):
            self.first[message_id] = at

    def times(self, messages: Sequence[BaseMessage], start: datetime) -> list[datetime]:
        """When each was said; in their order, and as soon as one that is not known can have been."""
        found, last = [], start
        for message in messages:
            last = max(last, self.first.get(str(message.id), last))
            found.append(last)
        return found


def _message(message: BaseMessage, at: datetime, held: set[str | None]) -> Entry:
    facts: Mapping[str, Any] = facts_of(message)
    text, name = text_of(message), message.name
    if not text and facts.get("tool_calls"):
        text = ""
    return Entry(
        at=at,
        kind="message",
        id=str(message.id or ""),
        title=f"{role_of(message)} {name}" if name else role_of(message),
        text=text,
        status=facts.get("status") if facts.get("status") == "error" else None,
        data={**facts, **({} if message.id in held else {"condensed": True})},
    )
