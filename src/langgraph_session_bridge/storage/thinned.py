"""Pending writes of a batch without what a checkpoint of the same batch holds too. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from langgraph_session_bridge.storage.chores import Chore
from langgraph_session_bridge.storage.documents import Encoded, decode, thread_prefix, with_rows


def thin(documents: Sequence[Encoded], chores: Iterable[Chore]) -> tuple[list[Encoded], list[tuple[Chore, str]]]:
    """The documents with rows that refer to the checkpoint, and which rows of which chore that took care of."""
    wanted: dict[str, tuple[Chore, str]] = {}
    for chore in chores:
        for name in chore.thinned:
            wanted[thread_prefix(chore.thread_id, chore.generation) + name] = (chore, name)
    if not wanted:
        return list(documents), []
    names = {name for _, name in wanted.values()}
    made: list[Encoded] = []
    done: list[tuple[Chore, str]] = []
    for document in documents:
        found = decode(document.raw) if document.field in names else {}
        planned = wanted.get(found.get("_id", ""))
        thinned = planned[0].thinned[planned[1]] if planned else None
        if planned is None or thinned is None or "x" in found or not thinned.replaces(found):
            made.append(document)  # chunks may be stored already
        else:
            raw = with_rows(found, thinned.rows)
            made.append(Encoded(field=document.field, raw=raw, first_wins=document.first_wins))
            done.append(planned)
    return made, done
