"""Analytics over many sessions: how long they took, when they were resumed, what tools and models did for them."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Unpack, cast, get_args

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records import happenings, tools
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.query import Query
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.sessions.reading.aggregating import (
    USAGE_QUERY,
    Stage,
    Tool,
    Total,
    tool_stages,
    usage_row,
    usage_stages,
)
from langgraph_session_bridge.sessions.reading.listing import Filters, Listing
from langgraph_session_bridge.sessions.reading.rows import (
    COLUMNS,
    By,
    ResumeRow,
    SessionRow,
    ToolRow,
    TotalRow,
    UsageRow,
    group_of,
    resume_rows,
    session_row,
)

_PAGE = 200


class Analytics:
    """Rows about the sessions that match: `pandas.DataFrame(await analytics.sessions())`.

    Sessions are read page by page, oldest first, and as lists show them: for counts a flush behind. Nothing but the
    rows of the answer is kept, so that memory grows with these only; iterate over `sessions` and `resumes`, and there
    is one page.
    """

    def __init__(self, listing: Listing, context: Context, filters: Filters) -> None:
        """Asks a manager; see `SessionManager.analytics`."""
        self._listing, self._context, self._filters = listing, context, filters

    def sessions(self, *, limit: int | None = None) -> Query[SessionRow]:
        """One row for each session; see `rows.SessionRow`."""

        async def found() -> AsyncGenerator[SessionRow, None]:
            async for page in self._pages():
                for session in page:
                    yield session_row(session)

        return Query(self._context.runner, found, limit)

    def resumes(self, *, limit: int | None = None) -> Query[ResumeRow]:
        """One row for each time that a session stopped; see `rows.ResumeRow`."""

        async def found() -> AsyncGenerator[ResumeRow, None]:
            async for page in self._pages():
                for session in page:
                    for row in resume_rows(session):
                        yield row

        return Query(self._context.runner, found, limit)

    def totals(self, by: By | None = None) -> Call[list[TotalRow]]:
        """All sessions together, or by day, user or agent; see `rows.TotalRow`."""
        column = _column(by)

        async def work() -> list[TotalRow]:
            groups: dict[str | None, Total] = {}
            async for page in self._pages():
                for session in page:
                    groups.setdefault(group_of(session, by), Total()).add(session_row(session))
            return [cast("TotalRow", {**_named(column, group), **total.row()}) for group, total in _sorted(groups)]

        return self._context.call(work())

    def tools(self, by: By | None = None) -> Call[list[ToolRow]]:
        """How often each tool was executed, failed, and how long it took; see `rows.ToolRow`.

        Raises:
            ConfigurationError: The manager has a store alone, without records.
        """
        column = _column(by)

        async def work() -> list[ToolRow]:
            groups: dict[tuple[str | None, str], Tool] = {}
            async for group, row in self._grouped(by, tools.KIND, {}, tool_stages(by)):
                groups.setdefault((group, str(row["_id"].get("tool"))), Tool()).add(row)
            return [cast("ToolRow", {**_named(column, key[0]), **tool.row(key[1])}) for key, tool in _sorted(groups)]

        return self._context.call(work())

    def usage(self, by: By | None = "day") -> Call[list[UsageRow]]:
        """Tokens and cost by model and purpose, for each day unless told otherwise; see `rows.UsageRow`.

        Raises:
            ConfigurationError: The manager has a store alone, without records.
        """
        column = _column(by)

        async def work() -> list[UsageRow]:
            groups: dict[tuple[str | None, str, str, str], dict[str, int]] = {}
            async for group, row in self._grouped(by, happenings.KIND, USAGE_QUERY, usage_stages(by)):
                who = row.pop("_id")
                sums = groups.setdefault((group, who["provider"], who["model"], who["purpose"]), {})
                for name, amount in row.items():
                    sums[name] = sums.get(name, 0) + int(amount)
            pricing = self._context.follower.pricing
            return [
                cast("UsageRow", {**_named(column, key[0]), **usage_row(key[1], key[2], key[3], sums, pricing)})
                for key, sums in _sorted(groups)
            ]

        return self._context.call(work())

    async def _pages(self) -> AsyncGenerator[list[Session], None]:
        after: str | None = None
        while True:
            page = await self._listing._page("created_at", after, 0, _PAGE, True, self._filters)
            yield page.sessions
            if (after := page.cursor) is None:
                return

    async def _grouped(
        self, by: By | None, kind: str, query: Mapping[str, Any], stages: Sequence[Stage]
    ) -> AsyncGenerator[tuple[str | None, dict[str, Any]], None]:
        """What MongoDB makes of records, a page of sessions at a time, each row with its group."""
        backing = self._context.backed("tell what tools and models did")
        archive = (await backing.saver._runtime.pipeline()).archive
        async for page in self._pages():
            threads = {session.thread_id: session for session in page}
            for row in await archive.grouped_records(list(threads), kind, query, stages) if threads else ():
                group = row["_id"].get("group")
                yield (group_of(threads[group], by) if by in ("user", "agent") else group), row


def _named(column: str | None, group: str | None) -> dict[str, str | None]:
    """The column of a group, if there are groups."""
    return {} if column is None else {column: group}


def _column(by: By | None) -> str | None:
    if by is not None and by not in get_args(By):
        raise InvalidInputError(f"by={by!r} is none of {', '.join(get_args(By))}.")
    return COLUMNS.get(by)


def _sorted(groups: Mapping[Any, Any]) -> builtins.list[tuple[Any, Any]]:
    """By name; what has none comes first."""
    return sorted(groups.items(), key=lambda item: _parts(item[0]))


def _parts(key: Any) -> tuple[tuple[bool, str], ...]:
    parts = key if isinstance(key, tuple) else (key,)
    return tuple((part is not None, str(part)) for part in parts)


class Analysing:
    """The part of `SessionManager` that tells about many sessions at once."""

    _context: Context

    def analytics(self: Any, **filters: Unpack[Filters]) -> Analytics:
        """Rows about the sessions that match, ready for pandas; nothing is read until rows are asked for.

        Args:
            **filters: As for `list`.

        Raises:
            InvalidInputError: A condition cannot be used.

        Example:
            ```python
            last_month = bridge.sessions.analytics(created_since=month_ago)
            tools = pandas.DataFrame(await last_month.tools(by="day"))
            ```
        """
        self._search(filters, "created_at")
        return Analytics(self, self._context, filters)
