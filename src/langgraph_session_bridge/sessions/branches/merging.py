"""Bringing back into a session what happened on a branch of it, or in any other."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from langgraph_session_bridge.errors import InvalidInputError, SessionEndedError
from langgraph_session_bridge.records.audio.counting import CLOCK, TOTALS, read_totals
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.backing import Backing
from langgraph_session_bridge.sessions.branches import points
from langgraph_session_bridge.sessions.branches.points import Point
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.lifecycle.leasing import shown
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.sessions.stores.keeping import CONDENSED, CONDENSING, COUNTERS, KIND, RECORD_ID, USAGE
from langgraph_session_bridge.sessions.stores.registry import noted
from langgraph_session_bridge.storage.facets import ENDING, Facet, StoredRecord
from langgraph_session_bridge.storage.record_store import RecordStore

MergeMetadata = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
"""Gets the metadata of the target and of the source, and returns what the target is to have."""
MergeState = Callable[[Any, Any], Awaitable[Any] | Any]
"""Gets the values of the target's state and of the source's, and returns an update of the target, or nothing."""

_PAGE = 100
_COUNTED = (COUNTERS, USAGE, CONDENSING, CONDENSED)
_MERGED = ("tool", "event", "context")


class Merging:
    """The part of `SessionManager` that brings sessions together."""

    _context: Context

    def merge(
        self,
        source: SessionLike,
        into: SessionLike,
        *,
        metadata: MergeMetadata | None = None,
        state: MergeState | None = None,
        graph: Any = None,
        as_node: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
    ) -> Call[Session]:
        """Merges what happened in one session into another; the source stays as it is.

        Records of tools, contexts and events come along under their ids, once they are complete; counts and usage are
        added once, however often this is called; tags are united. Messages and other state are merged by the
        application's function, through the graph, whose reducers know what that means: an update by `add_messages`
        adds what the target lacks. The state is merged once for each newest checkpoint of the source.

        Args:
            source: The session whose work is wanted.
            into: The session that gets it, its id, or a lease of it.
            metadata: Merges metadata; without it, the source adds what the target does not have.
            state: Tells how the target's state is to be updated.
            graph: The compiled graph, which `state` needs.
            as_node: The node that the update is said to come from, as for `graph.update_state`.
            reason: Why, for the history.
            actor: Who does it.

        Raises:
            SessionNotFoundError: There is no such session.
            SessionEndedError: The target has ended or expired.
            InvalidInputError: Both are the same, `state` comes without `graph`, or a value cannot be used.
            UnavailableError: A tier does not answer; calling it again is safe, and goes on.
        """
        return self._context.call(self._merge(source, into, metadata, state, graph, as_node, reason, actor))

    async def _merge(
        self,
        source: SessionLike,
        into: SessionLike,
        metadata: MergeMetadata | None,
        state: MergeState | None,
        graph: Any,
        as_node: str | None,
        reason: str | None,
        actor: str | None,
    ) -> Session:
        context = self._context
        backing = context.backed("merge sessions")
        said = ids.name("reason", reason)
        if state is not None and graph is None:
            raise InvalidInputError("A state is merged through its graph; pass graph=.")
        one, other = [await context.registry.get(context.place(each)) for each in (source, into)]
        if one.thread_id == other.thread_id:
            raise InvalidInputError(f"Session {one.session_id[:80]!r} cannot be merged into itself.")
        if not other.is_open:
            raise SessionEndedError(f"Session {other.session_id[:80]!r} is {other.status}; `reopen` it first.")
        await self._settled(one)
        await _merge_records(backing, one.thread_id, other.thread_id)
        await self._merge_counts(one, other)
        head = await points.found(backing.saver, one.thread_id, Point())
        about = {"session_id": one.session_id, "checkpoint_id": None if head is None else head.checkpoint["id"]}
        if state is not None and not _was_merged(other, about):
            configs = {"thread_id": other.thread_id, **shown(into)}, {"thread_id": one.thread_id}
            await _merge_state(configs, state, graph, as_node)
            about["state"] = "merged"

        def change(now: Session) -> Mapping[str, Any]:
            merged = {**one.metadata, **now.metadata} if metadata is None else metadata(now.metadata, one.metadata)
            tags = ids.names("tags", [*now.tags, *one.tags])
            entry = noted(now, "merge", actor=actor or context.actor, reason=said, about=about)
            return {**entry, "tags": tags, "metadata": ids.metadata(merged)}

        changed = await context.registry.change(context.place(other), change)
        context.follower.learn(changed)
        return changed

    async def _settled(self, session: Session) -> None:
        """What was noticed of the source is counted, and stored, before it is merged."""
        await self._context.follower.settle(session.thread_id)
        await self._context.registry.store.drain(session.thread_id)

    async def _merge_counts(self, source: Session, into: Session) -> None:
        """The source's totals as one writer of the target's, who is always the same: they only grow."""
        store = self._context.registry.store
        record = await store.read(source.thread_id)
        if record is None:
            return
        own = {name: facet for name, facet in record.facets.items() if name != _writer(into)}  # merged from there once
        counted = StoredRecord(thread_id=record.thread_id, kind=KIND, id=RECORD_ID, facets=own)
        totals = [[list(path), n] for path, n in read_totals(counted).items() if path[0] in _COUNTED]
        value = {"owner": f"merged from {source.session_id}"[:256], "totals": totals, "highest": []}
        if totals:
            await store.merge(
                into.thread_id, [Facet(kind=KIND, id=RECORD_ID, name=_writer(source), rank=CLOCK(), value=value)]
            )
            await store.drain(into.thread_id)


def _writer(session: Session) -> str:
    """The facet that a session's totals are in where it was merged into another."""
    digest = hashlib.blake2b(f"{session.thread_id}\0{session.key}".encode(), digest_size=12).hexdigest()
    return f"{TOTALS}merged-{digest}"


def _was_merged(into: Session, about: Mapping[str, Any]) -> bool:
    """Whether the state of this very checkpoint was merged before."""
    wanted = {**about, "state": "merged"}
    return any(move.event == "merge" and move.about == wanted for move in into.transitions)


async def _merge_records(backing: Backing, source: str, into: str) -> None:
    """Complete records in the order in which they were made; they sort after what the target has."""
    records = (await backing.saver._runtime.pipeline()).records
    kinds = (*_MERGED, *backing.ledger.custom_kinds)
    keys = [
        (record.kind, record.id)
        async for record in records.find(source, kinds)
        if record.kind not in ENDING or "end" in record
    ]
    keys.reverse()
    for page in [keys[at : at + _PAGE] for at in range(0, len(keys), _PAGE)]:
        found = {(record.kind, record.id): record for record in await records.get(source, page)}
        await _put(records, into, [found[key] for key in page if key in found])


async def _put(records: RecordStore, into: str, found: Sequence[StoredRecord]) -> None:
    for record in found:
        await records.put(into, record.as_facets(), "cache")
    if found:
        await records.put(into, found[-1].as_facets(), "majority")


async def _merge_state(places: Sequence[Mapping[str, Any]], state: MergeState, graph: Any, as_node: str | None) -> None:
    """Updates the first thread by what the function says of both."""
    configs = [{"configurable": dict(each)} for each in places]
    values = [(await graph.aget_state(config)).values for config in configs]
    update = state(*values)
    if inspect.isawaitable(update):
        update = await update
    if update is not None:
        await graph.aupdate_state(configs[0], update, as_node=as_node)
