"""Importing a session that was exported as JSONL, under its own id or another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from langgraph_session_bridge.checkpoint.dumping import Restoring
from langgraph_session_bridge.errors import SessionConflictError
from langgraph_session_bridge.moments import at_millisecond
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.export import loading
from langgraph_session_bridge.sessions.export.loading import Checked, Row
from langgraph_session_bridge.sessions.models import Life, Session
from langgraph_session_bridge.sessions.stores.keeping import KIND, TOUCH, life_facet, micros_in, position, touch_facet
from langgraph_session_bridge.sessions.stores.registry import Place
from langgraph_session_bridge.storage.facets import Facet

_PAGE = 200
_PAGE_BYTES = 8 * 1024 * 1024

Again = Callable[[], Iterator[str]]


async def imported(context: Context, source: loading.Lines, session_id: str | None, user_id: str | None) -> Session:
    """Restores a session; until all of it is there, its entry in the registry says that it has ended."""
    backing = context.backed("import sessions")
    owner = context.owner(user_id)
    with loading.spooled(source) as again:
        found = await asyncio.to_thread(lambda: loading.check(again(), backing.saver.serde))
        assert found.life is not None
        life = _renamed(found.life, session_id)
        if owner is not None:
            life = life.model_copy(update={"user_id": owner})
        await _check_free(context, life)
        restoring = Restoring(await backing.saver._runtime.pipeline(), life.thread_id)
        await restoring.begin()
        if not await _reserve(context, life):
            await restoring.end()
            raise _exists(life.session_id)
        try:
            await _restore(restoring, again)
            await _complete(context, life, found)
        except BaseException:
            await asyncio.shield(restoring.undo())
            raise
        await restoring.end()
    session = await context.registry.get(Place(session_id=life.session_id, user_id=context.user_id))
    context.follower.learn(session)
    return session


def _renamed(life: Life, session_id: str | None) -> Life:
    """The session under the id that it is to have; its thread is then called the same."""
    chosen = life.session_id if session_id is None else ids.session_id(session_id)
    if chosen == life.session_id:
        return life
    micros = micros_in(life.key)
    thread_id = ids.thread_id(chosen)
    return life.model_copy(
        update={"session_id": chosen, "thread_id": thread_id, "key": position(micros, thread_id)},
    )


async def _check_free(context: Context, life: Life) -> None:
    registry = context.registry
    for taken in {life.session_id, life.thread_id}:
        if await registry.find(Place(session_id=taken)) is not None:
            raise _exists(taken)


def _exists(session_id: str) -> SessionConflictError:
    return SessionConflictError(
        f"Session {session_id[:80]!r} exists already; delete it, or pass session_id to import under another id."
    )


async def _reserve(context: Context, life: Life) -> bool:
    """Takes the session's place, so that nobody else makes or continues it meanwhile; false if somebody did."""
    now = at_millisecond(datetime.now(UTC))
    told = {"status": "ended", "ended_at": now, "metadata": {"import": f"under way since {now}, or cut off"}}
    touch = touch_facet(life)
    value = {"at": life.created_at, "key": life.key}
    early = Facet(kind=touch.kind, id=touch.id, name=touch.name, rank=1, value=value)
    ended = life.model_copy(update=told)
    if not await context.registry.store.swap(life.thread_id, life_facet(ended), 0, [early]):
        return False
    await context.registry.mend(ended)
    return True


async def _restore(restoring: Restoring, again: Again) -> None:
    """Records first, then documents, of which checkpoints come last."""
    rows = loading.rows(again())
    while page := await asyncio.to_thread(_next_page, rows):
        await restoring.record([row.facets for row in page if row.facets and row.facets[0].kind != KIND])
        await restoring.store([(row.rank, row.document) for row in page if row.document is not None])


def _next_page(rows: Iterator[Row]) -> list[Row]:
    page: list[Row] = []
    size = 0
    for row in rows:
        page.append(row)
        size += row.size
        if len(page) >= _PAGE or size >= _PAGE_BYTES:
            break
    return page


async def _complete(context: Context, life: Life, found: Checked) -> None:
    """Makes the entry what it was."""
    also = [_moved(each, life.thread_id) for each in found.others if each.name == TOUCH or each.name.startswith("n-")]
    if not await context.registry.store.swap(life.thread_id, life_facet(life), life.rev, also):
        raise SessionConflictError(f"Session {life.session_id[:80]!r} was changed while it was imported.")
    await context.registry.mend(life)


def _moved(facet: Facet, thread_id: str) -> Facet:
    """A facet of the session's entry; what sorts sessions names the thread."""
    if facet.name != TOUCH:
        return facet
    value: dict[str, Any] = {**facet.value, "key": position(facet.rank, thread_id)}
    return Facet(kind=facet.kind, id=facet.id, name=facet.name, rank=facet.rank, value=value)
