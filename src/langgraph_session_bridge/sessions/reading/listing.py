"""Finding sessions: pages of them, all of them one by one, their ids, and how many there are."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack, get_args

from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError
from langgraph_session_bridge.moments import moment
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.query import Query
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.models import Session, SessionPage, SessionStats
from langgraph_session_bridge.sessions.states import STATUSES, Status
from langgraph_session_bridge.sessions.stores.keeping import WAITING, session_of
from langgraph_session_bridge.sessions.stores.search import Order, Scalar, Search, position_of

MAX_PAGE = 1000


class Filters(TypedDict, total=False):
    """Conditions on sessions, all of which hold; what is left out is for any.

    `tags` are all of those given, `title` a part of the title whatever the case, `metadata` plain values by name. The
    times are for the last activity (`since` included, `until` not) and for when the session was made.
    """

    user_id: str | None
    status: Status | Collection[Status] | None
    tags: str | Collection[str]
    metadata: Mapping[str, Scalar]
    title: str | None
    since: datetime | None
    until: datetime | None
    created_since: datetime | None
    created_until: datetime | None


class Listing:
    """The part of `SessionManager` that looks for sessions."""

    _context: Context

    def list(
        self,
        *,
        order: Order = "-last_activity_at",
        after: str | None = None,
        skip: int = 0,
        limit: int = 50,
        history: bool = False,
        **filters: Unpack[Filters],
    ) -> Call[SessionPage]:
        """A page of sessions, by default those first that were active last.

        By `created_at` paging meets each session once, whatever happens meanwhile. By activity a session that becomes
        active while somebody pages moves to the front, where whoever is past it does not see it.

        Args:
            order: What they are sorted by; the minus is for newest first.
            after: `cursor` of the page before.
            skip: So many are left out; the further, the slower, where `after` is not.
            limit: At most so many, up to 1,000.
            history: Whether to bring the transitions of each along.
            **filters: See `Filters`.

        Raises:
            InvalidInputError: A condition cannot be used, or the cursor is of another list.
        """
        return self._context.call(self._page(order, after, skip, limit, history, filters))

    async def _page(
        self, order: Order, after: str | None, skip: int, limit: int, history: bool, filters: Filters
    ) -> SessionPage:
        if not 1 <= limit <= MAX_PAGE or not 0 <= skip <= 10 * MAX_PAGE:
            raise InvalidInputError(f"limit must be 1 to {MAX_PAGE:,}, and skip 0 to {10 * MAX_PAGE:,}; use `after`.")
        search = self._search(filters, order)
        search = replace(
            search,
            after=None if after is None else position_of(after, order),
            limit=skip + limit + 1,
            brief=not history,
        )
        found = await self._context.registry.store.find(search)
        page, more = found[skip : skip + limit], len(found) > skip + limit
        return SessionPage(
            sessions=[session_of(record) for record in page], cursor=search.cursor(page[-1]) if more else None
        )

    def search(
        self, *, order: Order = "-created_at", limit: int | None = None, **filters: Unpack[Filters]
    ) -> Query[Session]:
        """All sessions that match, page by page: iterate over it (`async for` or `for`), or `await` them all.

        Args:
            order: As for `list`.
            limit: At most so many.
            **filters: See `Filters`.
        """

        async def found() -> AsyncGenerator[Session, None]:
            after: str | None = None
            while True:
                page = await self._page(order, after, 0, min(limit or 200, 200), False, filters)
                for session in page.sessions:
                    yield session
                if (after := page.cursor) is None:
                    return

        return Query(self._context.runner, found, limit)

    def due(self, now: datetime | None = None, *, limit: int = 50, after: str | None = None) -> Call[SessionPage]:
        """Sessions that are `created` or `paused` and whose `scheduled_for` has come, soonest first.

        Nothing runs them: whoever asks does, and whoever wins the race to start or resume one has it. Set
        `scheduled_for` anew (or to `None`) when it is taken up, or it is due again when it is next paused.

        Args:
            now: What time it is; the clock's by default.
            limit: At most so many, up to 1,000.
            after: `cursor` of the page before.

        Raises:
            InvalidInputError: A value cannot be used.
        """
        return self._context.call(self._due(now, limit, after))

    async def _due(self, now: datetime | None, limit: int, after: str | None) -> SessionPage:
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidInputError(f"limit must be 1 to {MAX_PAGE:,}; use `after`.")
        search = Search(
            user_id=self._context.user_id,
            status=frozenset(WAITING),
            due_until=moment("now", now) or datetime.now(UTC),
            order="due",
            after=None if after is None else position_of(after, "due"),
            limit=limit + 1,
        )
        found = await self._context.registry.store.find(search)
        page = found[:limit]
        cursor = search.cursor(page[-1]) if len(found) > limit else None
        return SessionPage(sessions=[session_of(record) for record in page], cursor=cursor)

    def ids(self, **filters: Unpack[Filters]) -> Call[builtins.list[str]]:
        """The ids of all sessions that match, oldest first."""

        async def work() -> builtins.list[str]:
            return [session.session_id async for session in self.search(order="created_at", **filters)]

        return self._context.call(work())

    def count(self, **filters: Unpack[Filters]) -> Call[int]:
        """How many sessions match."""

        async def work() -> int:
            return sum((await self._counted(filters)).values())

        return self._context.call(work())

    def stats(self, **filters: Unpack[Filters]) -> Call[SessionStats]:
        """How many sessions match, by status."""

        async def work() -> SessionStats:
            found = await self._counted(filters)
            return SessionStats(by_status={status: found.get(status, 0) for status in STATUSES})

        return self._context.call(work())

    async def _counted(self, filters: Filters) -> Mapping[str, int]:
        return await self._context.registry.store.count(self._search(filters, "-last_activity_at"))

    def active(self, user_id: str | None = None) -> Call[Session | None]:
        """The open session that something happened in last: of a user, or of everybody; nothing without any."""

        async def work() -> Session | None:
            filters = Filters(user_id=user_id, status=[each for each in STATUSES if each not in ("ended", "expired")])
            page = await self._page("-last_activity_at", None, 0, 1, False, filters)
            return page.sessions[0] if page.sessions else None

        return self._context.call(work())

    def _search(self, filters: Filters, order: Order) -> Search:
        unknown = sorted(set(filters) - set(Filters.__annotations__))
        if unknown:
            known = ", ".join(Filters.__annotations__)
            raise InvalidInputError(f"Sessions cannot be looked for by {', '.join(unknown)}; there are {known}.")
        if order not in get_args(Order):
            raise InvalidInputError(f"order={order!r} is none of {', '.join(get_args(Order))}.")
        tags = filters.get("tags", ())
        return Search(
            user_id=self._context.owner(ids.name("user_id", filters.get("user_id"))),
            status=_statuses(filters.get("status")),
            tags=ids.names("tags", [tags] if isinstance(tags, str) else tags),
            metadata=_plain_values(filters.get("metadata", {})),
            title=ids.name("title", filters.get("title")),
            active_since=moment("since", filters.get("since")),
            active_until=moment("until", filters.get("until")),
            created_since=moment("created_since", filters.get("created_since")),
            created_until=moment("created_until", filters.get("created_until")),
            order=order,
        )


def _statuses(given: Status | Collection[Status] | None) -> frozenset[Status]:
    wanted: frozenset[Any] = frozenset(STATUSES if given is None else [given] if isinstance(given, str) else given)
    if unknown := wanted - set(STATUSES):
        raise InvalidInputError(f"status={sorted(map(str, unknown))} is none of {', '.join(STATUSES)}.")
    return wanted


def _plain_values(values: object) -> dict[str, Scalar]:
    if not isinstance(values, Mapping):
        raise InvalidTypeError(f"metadata must be a mapping, not {type(values).__name__}.")
    for key, value in values.items():
        ids.metadata_key(key)
        if not isinstance(value, (str, int, float, bool)):
            message = (
                f"metadata {key!r} can be looked for by text, numbers and truth values, not {type(value).__name__}."
            )
            raise InvalidTypeError(message)
    return dict(values)
