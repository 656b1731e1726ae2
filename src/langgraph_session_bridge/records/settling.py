"""Tool calls that were cut off: nobody will ever say how they ended, so their outcome is unknown."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime

from langgraph_session_bridge.records.tools import KIND, settled_facet
from langgraph_session_bridge.settings import Level
from langgraph_session_bridge.storage.facets import StoredRecord
from langgraph_session_bridge.storage.record_store import RecordStore

CUT_OFF = "session_bridge.cut_off"
"""What the error of such a call is called."""

ENDED = "session_bridge.session_ended"
"""What the error of a call is called whose session ended before it did."""

OPEN = {"open": True}


def is_open(record: StoredRecord) -> bool:
    """Whether nobody has reported an end yet."""
    return "end" not in record


def _is_by_hand(record: StoredRecord, owner: str) -> bool:
    start = record["start"]
    return start.get("origin") == "api" and start.get("owner") == owner


async def abandon(store: RecordStore, thread_id: str, level: Level) -> int:
    """Marks all open tool calls of a thread as `abandoned`: its session has ended, and waits for none of them.

    If one of them ends after all, what that reports counts. Returns how many were marked.
    """
    found = [record async for record in store.find(thread_id, [KIND], query=OPEN, keep=is_open)]
    if found:
        now = datetime.now(UTC)
        await store.put(thread_id, [settled_facet(record, "abandoned", now, ENDED) for record in found], level)
    return len(found)


async def settle(
    store: RecordStore, thread_id: str, runs_of: Callable[[str], Collection[str]], level: Level, *, owner: str
) -> int:
    """Marks the open tool calls of a thread as `unknown`, but for those of runs that are under way.

    What this process entered by hand belongs to no run; it is under way for as long as the process lives.

    If one of them ends after all, in another process, what that reports counts: it outranks `unknown`.

    Args:
        store: Where records are.
        thread_id: The thread.
        runs_of: Tells the root runs of a thread that this process is running.
        level: Level of what is put.
        owner: This process.

    Returns:
        How many were marked.
    """
    found = [record async for record in store.find(thread_id, [KIND], query=OPEN, keep=is_open)]
    running = runs_of(thread_id)  # asked when all is read: a run that began meanwhile has calls among them
    cut_off = [
        record
        for record in found
        if record["start"].get("root_run_id") not in running and not _is_by_hand(record, owner)
    ]
    if cut_off:
        now = datetime.now(UTC)
        facets = [settled_facet(record, "unknown", now, CUT_OFF) for record in cut_off]
        await store.put(thread_id, facets, level)
    return len(cut_off)
