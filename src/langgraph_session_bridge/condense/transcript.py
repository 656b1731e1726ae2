"""The whole transcript again: condensations undone one by one, with what the archive holds.

A condensation belongs to a list of messages that begins with what it left. So a fork from before it, or another branch
with condensations of its own, finds those that are its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from langchain_core.messages import BaseMessage

from langgraph_session_bridge.condense.archive import Condensation

Find = Callable[[str, str], BaseMessage | None]
"""Looks up an archived message by id and digest."""


def stitched(messages: Sequence[BaseMessage], condensations: Iterable[Condensation], find: Find) -> list[BaseMessage]:
    """The messages as they would be if nothing had ever been condensed; summaries are left out, being nobody's words.

    Args:
        messages: What the state holds.
        condensations: Those of the thread, its forks included, of this namespace and key; in any order.
        find: Looks up an archived message.

    Raises:
        KeyError: The archive lacks a message that a condensation says it holds.
    """
    whole = list(messages)
    left = list(condensations)
    while (index := _latest(whole, left)) is not None:
        whole = _undone(whole, left.pop(index), find)
    return whole


def _latest(messages: Sequence[BaseMessage], condensations: Sequence[Condensation]) -> int | None:
    """The condensation that made this list: the one that left most of what it begins with.

    Where someone edited the list since, it is one that still explains it: its last message is there, nothing that it
    removed is, and every summary that it wrote is.
    """
    ids = [message.id for message in messages]
    exact = [i for i, c in enumerate(condensations) if ids[: len(c.after)] == c.after]
    if exact:
        return max(exact, key=lambda i: (len(condensations[i].after), condensations[i].created_at))
    there = set(ids)
    likely = [
        i
        for i, c in enumerate(condensations)
        if c.removed and c.after[-1] in there and there.issuperset(c.inserted) and there.isdisjoint(c.removed)
    ]
    return max(likely, key=lambda i: condensations[i].created_at, default=None)


def _undone(messages: Sequence[BaseMessage], condensation: Condensation, find: Find) -> list[BaseMessage]:
    """A list with what a condensation took back in its place."""
    archived = {**condensation.removed, **condensation.replaced}
    there = {message.id: message for message in messages}
    whole: list[BaseMessage] = []
    for id in condensation.before:
        if id in archived and (id in condensation.removed or id in there):
            whole.append(_found(find, id, archived[id], condensation))
        elif id in there:
            whole.append(there[id])  # else someone removed it since
    own = {*condensation.before, *condensation.inserted}
    return [*whole, *(message for message in messages if message.id not in own)]


def _found(find: Find, id: str, digest: str, condensation: Condensation) -> BaseMessage:
    message = find(id, digest)
    if message is None:
        text = f"Message {id} of condensation {condensation.id} is not in the archive."
        raise KeyError(text)
    return message
