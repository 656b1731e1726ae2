"""The ledger: what agents did and what they were told, written from anywhere and read back by session."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from pydantic import BaseModel

from langgraph_session_bridge.records import contexts, happenings, tools
from langgraph_session_bridge.records.asking import Conditions, Names, checked_seq, names, status_query
from langgraph_session_bridge.records.audio import reading as audio
from langgraph_session_bridge.records.audio.models import AudioSessionMetadata
from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.entries import Entries
from langgraph_session_bridge.records.models import (
    ContextInjectionRecord,
    ContextKind,
    ContextStatus,
    EventRecord,
    ToolExecutionRecord,
    ToolStatus,
)
from langgraph_session_bridge.records.outbox import Outbox
from langgraph_session_bridge.records.query import Query
from langgraph_session_bridge.records.session_ids import SessionLike, session_of
from langgraph_session_bridge.records.settling import abandon, settle
from langgraph_session_bridge.storage.facets import StoredRecord
from langgraph_session_bridge.storage.record_store import RecordStore
from langgraph_session_bridge.storage.runtime import Runtime

_PAGE, _LARGEST_PAGE = 50, 1000
"""Pages grow: each asks the journal for all that is unflushed of the thread, which may be much."""


def _nothing_runs(_: str) -> set[str]:
    return set()


class Ledger(Entries):
    """Records of sessions: entered as `Entries` says, and read back.

    Everything is read newest first, with what any process recorded and did not flush yet; a `Query` is awaited, or
    iterated in async or sync code.
    """

    def __init__(
        self,
        runtime: Runtime,
        outbox: Outbox,
        capture: Capture,
        *,
        runs_of: Callable[[str], set[str]] = _nothing_runs,
    ) -> None:
        """Reads by a saver's pipeline; `runs_of` tells the root runs of a thread that this process is running."""
        super().__init__(outbox, capture, owner=runtime.shared.owner)
        self._runtime = runtime
        self._runs_of = runs_of

    def tool_executions(
        self,
        session: SessionLike,
        *,
        name: Names = None,
        status: Names = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> Query[ToolExecutionRecord]:
        """Tool executions of a session, newest first.

        Args:
            session: The session, or its id.
            name: Names of tools.
            status: `started`, `success`, `error`, `interrupted`, `superseded`, `abandoned` or `unknown`.
            since: Started then or later (with a time zone).
            until: Started before then.
            before: `seq` of a record: only what came before it, for paging.
            limit: At most so many.
        """
        conditions = Conditions().among("start", "tool_name", name).between("started_at", since, until)
        wanted = names(status, get_args(ToolStatus))
        query = conditions.query | status_query(status, without_end="started", derived={"superseded": "success"})
        return self._query(session, tools.KIND, conditions, query, before, limit, self._tool_page, wanted)

    async def _tool_page(self, store: RecordStore, page: Sequence[StoredRecord]) -> list[ToolExecutionRecord]:
        """Reads a page; whether a success was superseded depends on the other attempts of its call."""
        calls = {str(record["start"]["call"]) for record in page if record["start"].get("tool_call_id")}
        siblings: list[StoredRecord] = []
        if calls:
            found = store.find(
                page[0].thread_id,
                [tools.KIND],
                query={"f.start.call": {"$in": sorted(calls)}},
                keep=lambda record: record["start"].get("call") in calls,
            )
            siblings = [record async for record in found]
        return tools.tool_records(page, siblings)

    def unknown_tool_calls(self, session: SessionLike) -> Query[ToolExecutionRecord]:
        """Tool calls that were cut off: they may have happened. Ask when no other process runs the session.

        Open calls of runs that are over, or were never this process's, are marked `unknown` first. That happens by
        itself when a recorded run of the session starts.
        """
        thread_id = session_of(session).thread_id

        async def found() -> AsyncGenerator[ToolExecutionRecord, None]:
            store = (await self._runtime.pipeline()).records
            shared, level = self._runtime.shared, self._runtime.settings.record_ack
            await settle(store, thread_id, self._runs_of, level, owner=shared.owner)
            async for record in self.tool_executions(session, status="unknown"):
                yield record

        return Query(self._runtime, found, None)

    async def abandon(self, session: SessionLike) -> int:
        """Marks open tool calls as `abandoned`: ending a session does so by itself. Returns how many there were."""
        store = (await self._runtime.pipeline()).records
        return await abandon(store, session_of(session).thread_id, self._runtime.settings.record_ack)

    def context_injections(
        self,
        session: SessionLike,
        *,
        kind: Names = None,
        status: Names = None,
        source: Names = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> Query[ContextInjectionRecord]:
        """What the models of a session were told, or are to be told, newest first.

        Args:
            session: The session, or its id.
            kind: Kinds of context.
            status: `queued`, `injected`, `dropped`, `expired`, `removed` or `failed`.
            source: Where it came from.
            since: Queued or injected then or later (with a time zone).
            until: Before then.
            before: `seq` of a record: only what came before it, for paging.
            limit: At most so many.
        """
        wanted = names(status, get_args(ContextStatus))
        names(kind, get_args(ContextKind))
        conditions = Conditions().among("start", "kind", kind).among("start", "source", source)
        conditions.between("queued_at", since, until, else_end="ended_at")
        query = conditions.query | status_query(status, without_end="queued", derived={})
        return self._query(session, contexts.KIND, conditions, query, before, limit, _context_page, wanted)

    def events(
        self,
        session: SessionLike,
        *,
        name: Names = None,
        node: Names = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> Query[EventRecord]:
        """What else happened in a session: runs, pauses, failures, models that were used, custom events; newest first.

        Args:
            session: The session, or its id.
            name: Names of events, for example `run.started` or `model.used`.
            node: Names of graph nodes.
            since: Then or later (with a time zone).
            until: Before then.
            before: `seq` of a record: only what came before it, for paging.
            limit: At most so many.
        """
        conditions = Conditions().among("start", "name", name).among("start", "graph_node", node)
        conditions.between("at", since, until)
        return self._query(session, happenings.KIND, conditions, conditions.query, before, limit, _event_page, None)

    def audio(self, session: SessionLike) -> Query[AudioSessionMetadata]:
        """The audio of a session, as all processes told it: one, or none if nobody told any."""
        thread_id = session_of(session).thread_id

        async def found() -> AsyncGenerator[AudioSessionMetadata, None]:
            store = (await self._runtime.pipeline()).records
            for record in await store.get(thread_id, [(audio.KIND, audio.RECORD_ID)]):
                yield audio.read_audio(record)

        return Query(self._runtime, found, None)

    @property
    def custom_kinds(self) -> tuple[str, ...]:
        """Kinds of records that the application registered in this process."""
        return self._custom.kinds

    def of_kind(
        self, session: SessionLike, kind: str, *, before: str | None = None, limit: int | None = None
    ) -> Query[BaseModel]:
        """Records of a registered kind, newest first.

        Raises:
            InvalidInputError: The kind is not registered.
        """
        self._custom.model(kind)
        thread_id, older = session_of(session).thread_id, checked_seq(before)

        async def found() -> AsyncGenerator[BaseModel, None]:
            store = (await self._runtime.pipeline()).records
            async for record in store.find(thread_id, [kind], before=older, wanted=limit):
                yield self._custom.read(record)

        return Query(self._runtime, found, limit)

    def _query(
        self,
        session: SessionLike,
        kind: str,
        conditions: Conditions,
        query: Mapping[str, Any],
        before: str | None,
        limit: int | None,
        read: Callable[[RecordStore, Sequence[StoredRecord]], Any],
        status: frozenset[str] | None,
    ) -> Query[Any]:
        thread_id, older = session_of(session).thread_id, checked_seq(before)

        async def found() -> AsyncGenerator[Any, None]:
            store = (await self._runtime.pipeline()).records
            keep = conditions.hold
            stored = store.find(thread_id, [kind], query=query, keep=keep, before=older, wanted=limit)
            async for page in _pages(stored, limit):
                for record in await read(store, page):
                    if status is None or record.status in status:
                        yield record

        return Query(self._runtime, found, limit)


async def _context_page(_: RecordStore, page: Sequence[StoredRecord]) -> list[ContextInjectionRecord]:
    return contexts.context_records(page)


async def _event_page(_: RecordStore, page: Sequence[StoredRecord]) -> list[EventRecord]:
    return happenings.event_records(page)


async def _pages(found: AsyncIterator[StoredRecord], limit: int | None) -> AsyncGenerator[list[StoredRecord], None]:
    """Pages, the first no larger than what is asked for."""
    page: list[StoredRecord] = []
    size = min(_PAGE, limit or _PAGE)
    async for record in found:
        page.append(record)
        if len(page) >= size:
            yield page
            page, size = [], min(2 * max(size, _PAGE), _LARGEST_PAGE)
    if page:
        yield page
