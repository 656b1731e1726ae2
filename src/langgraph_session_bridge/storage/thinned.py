"""Pending writes of a batch without what a checkpoint of the same batch holds too. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

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
        chore_name = wanted.get(found.get("_id", ""))
        if chore_name is None or "x" in found:  # chunks are stored already, perhaps
            made.append(document)
        else:
            made.append(_rewritten(document, found, chore_name[0].thinned[chore_name[1]]))
            done.append(chore_name)
    return made, done


def _rewritten(document: Encoded, found: dict[str, Any], rows: list[dict[str, Any]]) -> Encoded:
    return Encoded(field=document.field, raw=with_rows(found, rows), first_wins=document.first_wins)
