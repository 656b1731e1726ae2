"""Which messages a checkpoint added to those of its parent, told from both as this process saw them.

A process sees every checkpoint that a run of its goes on from, since LangGraph loads it, and each that it puts. What
a checkpoint holds of messages is remembered as hashes of their ids, eight bytes each, of the newest checkpoints only.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage, RemoveMessage
from langgraph.checkpoint.base import Checkpoint

from langgraph_session_bridge.condense.marks import is_summary

_CHECKPOINTS = 4
"""Of one thread: runs that begin at the same checkpoint share a parent."""
_MOST_IDS = 1_000_000


@dataclass(frozen=True, slots=True)
class _Held:
    """The messages of a key of the state, at one version of it."""

    version: Any
    hashes: array[int]


_ByKey = Mapping[str, _Held]


class Newcomers:
    """Counts messages where they come into the state; any thread may ask."""

    def __init__(self, most_ids: int = _MOST_IDS) -> None:
        """Remembers so many ids, of the threads that were used last."""
        self._known: OrderedDict[str, OrderedDict[str, _ByKey]] = OrderedDict()
        self._size, self._most = 0, most_ids
        self._lock = threading.Lock()

    def seen(self, thread_id: str, checkpoint: Checkpoint) -> None:
        """A run may go on from this checkpoint."""
        with self._lock:
            if checkpoint["id"] not in self._known.get(thread_id, ()):
                self._remember(thread_id, checkpoint["id"], _held(checkpoint, {}))

    def added(self, thread_id: str, parent: str, checkpoint: Checkpoint) -> int:
        """How many messages came with this checkpoint; summaries are none.

        Zero if its parent is one that this process does not remember: better too few than one twice.
        """
        with self._lock:
            of_thread = self._known.get(thread_id, OrderedDict())
            before: _ByKey | None = of_thread.get(parent) if parent else {}
        held = _held(checkpoint, before or {})
        with self._lock:
            self._remember(thread_id, checkpoint["id"], held)
        return 0 if before is None else _count(before, held, checkpoint)

    def _remember(self, thread_id: str, checkpoint_id: str, held: _ByKey) -> None:
        of_thread = self._known.setdefault(thread_id, OrderedDict())
        self._known.move_to_end(thread_id)
        if (known := of_thread.pop(checkpoint_id, None)) is not None:
            self._size -= _size(known)
        of_thread[checkpoint_id] = held
        self._size += _size(held)
        while len(of_thread) > _CHECKPOINTS:
            self._size -= _size(of_thread.popitem(last=False)[1])
        while self._size > self._most and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._size -= sum(map(_size, oldest.values()))


def _held(checkpoint: Checkpoint, before: _ByKey) -> dict[str, _Held]:
    """What each key holds; of one that is at its parent's version, what that held."""
    found: dict[str, _Held] = {}
    for key, value in checkpoint["channel_values"].items():
        if type(value) is list and value and isinstance(value[-1], BaseMessage):
            version, known = checkpoint["channel_versions"].get(key), before.get(key)
            same = known is not None and version is not None and known.version == version
            found[key] = known if known is not None and same else _Held(version, _hashes(key, value))
    return found


def _hashes(key: str, messages: list[BaseMessage]) -> array[int]:
    """Of their ids; a message without one is known by its place."""
    try:
        ids: list[str | None] = [message.id for message in messages]
    except AttributeError:  # not all of them are messages
        ids = [getattr(message, "id", None) for message in messages]
    return array("q", [hash(known or (key, place)) for place, known in enumerate(ids)])


def _count(before: _ByKey, held: _ByKey, checkpoint: Checkpoint) -> int:
    """How many messages are held that were not before."""
    changed = [key for key, each in held.items() if each is not before.get(key)]
    old: Container[int] = frozenset()
    since = 0
    if len(changed) == 1 and before.keys() == set(changed):
        old, known = before[changed[0]].hashes, len(before[changed[0]].hashes)
        since = known if held[changed[0]].hashes[:known] == old else 0  # nothing but appended, most often
    if changed and not since:
        old = frozenset(known for each in before.values() for known in each.hashes)
    return len(
        {
            known
            for key in changed
            for known, message in zip(held[key].hashes[since:], checkpoint["channel_values"][key][since:], strict=True)
            if known not in old and _is_said(message)
        }
    )


def _is_said(message: object) -> bool:
    """Whether somebody said it: neither a summary nor a mark of what is to be removed."""
    return isinstance(message, BaseMessage) and not isinstance(message, RemoveMessage) and not is_summary(message)


def _size(held: _ByKey) -> int:
    """A checkpoint without messages counts too, or there would be no end of them."""
    return 1 + sum(len(each.hashes) for each in held.values())
