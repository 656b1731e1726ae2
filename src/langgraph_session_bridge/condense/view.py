"""What a model sees where the saved state stays whole: the last condensed view, and whatever came after it.

A view is remembered as plain data, so it may live in the state: the id of the last message that it has seen, the ids
that it kept, and the messages that are not in the state (a summary, a shortened result).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from threading import Lock
from typing import Any, Generic, TypeVar

from langchain_core.messages import BaseMessage

T = TypeVar("T")

Record = Mapping[str, Any]
"""`{"upto": id, "kept": [id, …], "new": [message, …]}`"""


def resumed(messages: Sequence[BaseMessage], record: Record | None) -> list[BaseMessage]:
    """The view as it was, with what came since; all messages if the record is of another history."""
    if not record:
        return list(messages)
    places = {message.id: index for index, message in enumerate(messages)}
    own = {message.id: message for message in record["new"]}
    if record["upto"] not in places or any(id not in places and id not in own for id in record["kept"]):
        return list(messages)  # forked before it, or edited since
    kept = [own[id] if id in own else messages[places[id]] for id in record["kept"]]
    return [*kept, *messages[places[record["upto"]] + 1 :]]


def recorded(messages: Sequence[BaseMessage], view: Sequence[BaseMessage]) -> dict[str, Any]:
    """What to remember of a view of these messages."""
    theirs = {id(message) for message in messages}
    return {
        "upto": messages[-1].id if messages else None,
        "kept": [message.id for message in view],
        "new": [message for message in view if id(message) not in theirs],
    }


class Recent(Generic[T]):
    """What this process remembers of the threads that it saw last."""

    def __init__(self, size: int = 1000) -> None:
        self._size = size
        self._items: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> T | None:
        """What is remembered."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: Hashable, item: T) -> None:
        """Remembers, and forgets what was not asked for the longest."""
        with self._lock:
            self._items[key] = item
            self._items.move_to_end(key)
            while len(self._items) > self._size:
                self._items.popitem(last=False)
