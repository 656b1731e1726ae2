"""What this process knows of queued context before the journal does: what a model call has, and what is settled."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from langgraph_session_bridge.records.context.telling import QueuedContext

_SETTLED_MAX = 10_000


class InFlight:
    """Keeps two calls of this process from telling the same thing; threads and event loops use it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[tuple[str, str]] = set()
        self._settled: OrderedDict[tuple[str, str], None] = OrderedDict()

    def take(self, items: Sequence[QueuedContext], max_items: int | None, max_chars: int | None) -> list[QueuedContext]:
        """Claims what is free, in order, as much as there is room for; the first one always fits."""
        chosen: list[QueuedContext] = []
        chars = 0
        with self._lock:
            for item in items:
                if _key(item) in self._taken or _key(item) in self._settled:
                    continue
                chars += len(item.content)
                is_too_much = bool(chosen) and max_chars is not None and chars > max_chars
                if is_too_much or (max_items is not None and len(chosen) >= max_items):
                    break
                chosen.append(item)
            self._taken.update(map(_key, chosen))
        return chosen

    def release(self, items: Iterable[QueuedContext]) -> None:
        """Gives a claim back."""
        with self._lock:
            self._taken.difference_update(map(_key, items))

    def settle(self, items: Iterable[QueuedContext]) -> None:
        """Notes what does not wait any more: storing that may take a while."""
        with self._lock:
            self._settled.update((_key(item), None) for item in items)
            while len(self._settled) > _SETTLED_MAX:
                self._settled.popitem(last=False)

    def forget(self, thread_id: str) -> None:
        """Forgets what was settled in a thread."""
        with self._lock:
            for key in [key for key in self._settled if key[0] == thread_id]:
                del self._settled[key]

    def unsettled(self, items: Iterable[QueuedContext]) -> list[QueuedContext]:
        """Those that are not settled."""
        with self._lock:
            return [item for item in items if _key(item) not in self._settled]

    def free(self, items: Iterable[QueuedContext]) -> list[QueuedContext]:
        """Those that no call has claimed."""
        with self._lock:
            return [item for item in items if _key(item) not in self._taken]


def _key(item: QueuedContext) -> tuple[str, str]:
    return item.thread_id, item.id
