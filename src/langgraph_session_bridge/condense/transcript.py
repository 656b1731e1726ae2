"""The whole transcript again: condensations undone one by one, with what the archive holds.

A condensation belongs to a list of messages that begins with what it left. So a fork from before it, or another branch
with condensations of its own, finds those that are its own. Where ids do not tell (two branches left the same ids, or
someone took back the last messages since), the line of checkpoints does: a condensation remembers whose list it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet

from langchain_core.messages import AIMessage, BaseMessage

from langgraph_session_bridge.condense.archive import Condensation, digest_of
from langgraph_session_bridge.condense.marks import mark_of

Find = Callable[[str, str], BaseMessage | None]
"""Looks up an archived message by id and digest."""

_SHORTENED = ("masked", "truncated", "bounded")
_NO_LINE: AbstractSet[str] = frozenset()


def stitched(
    messages: Sequence[BaseMessage],
    condensations: Iterable[Condensation],
    find: Find,
    line: AbstractSet[str] = _NO_LINE,
) -> list[BaseMessage]:
    """The messages as they would be if nothing had ever been condensed; summaries are left out, being nobody's words.

    Args:
        messages: What the state holds.
        condensations: Those of the thread, its forks included, of this namespace and key; in any order.
        find: Looks up an archived message.
        line: Ids of the checkpoint and its ancestors, of those that matter to `doubtful` condensations.

    Raises:
        KeyError: The archive lacks a message that a condensation says it holds.
    """
    whole, left = list(messages), list(condensations)
    while (index := _latest(whole, left, line)) is not None:
        whole = _undone(whole, left.pop(index), find)
    return whole


def doubtful(messages: Sequence[BaseMessage], condensations: Iterable[Condensation]) -> list[Condensation]:
    """Those of which ids alone do not tell whether this list went through them."""
    whole, left = list(messages), list(condensations)
    tied: list[Condensation] = []
    while (index := _latest(whole, left, _NO_LINE)) is not None:
        done = left.pop(index)
        twins = [c for c in left if (c.after, c.inserted) == (done.after, done.inserted)]
        tied += [done, *twins] if twins else []
        whole = _undone(whole, done, lambda id, _: AIMessage("", id=id))
    there = {message.id for message in whole}
    unused = [c for c in left if c.removed and there.isdisjoint(c.removed) and not there.isdisjoint(c.after)]
    return [c for c in (*tied, *unused) if c.checkpoint_id]


def _latest(
    messages: Sequence[BaseMessage], condensations: Sequence[Condensation], line: AbstractSet[str]
) -> int | None:
    """The condensation that made this list: the one that left most of what it begins with.

    Where someone edited the list since, it is one that still explains it: nothing that it removed is there, and its
    summary is, or its last message, or it is known to be on the line and some of what it left is there.
    """
    ids = [message.id for message in messages]
    exact = [i for i, c in enumerate(condensations) if ids[: len(c.after)] == c.after]
    if exact:
        return max(exact, key=lambda i: (len(condensations[i].after), *_age(condensations[i], line)))
    there = set(ids)
    likely = [i for i, c in enumerate(condensations) if _explains(c, there, line)]
    return max(likely, key=lambda i: _age(condensations[i], line), default=None)


def _explains(condensation: Condensation, there: set[str | None], line: AbstractSet[str]) -> bool:
    after = condensation.after
    if not condensation.removed or not there.isdisjoint(condensation.removed):
        return False
    if condensation.inserted:
        return there.issuperset(condensation.inserted)
    return after[-1] in there or (condensation.checkpoint_id in line and not there.isdisjoint(after))


def _age(condensation: Condensation, line: AbstractSet[str]) -> tuple[bool, object]:
    return condensation.checkpoint_id in line, condensation.created_at


def _undone(messages: Sequence[BaseMessage], condensation: Condensation, find: Find) -> list[BaseMessage]:
    """A list with what a condensation took back in its place."""
    removed, replaced = condensation.removed, condensation.replaced
    there = {message.id: message for message in messages}
    whole: list[BaseMessage] = []
    for id in condensation.before:
        if id in removed and id not in there:  # or it came back, by a sub-graph that had it still
            whole.append(_found(find, id, removed[id], condensation))
        elif id in there and id in replaced and _is_ours(there[id], condensation):
            whole.append(_found(find, id, replaced[id], condensation))
        elif id in there:
            whole.append(there[id])  # else someone removed it since
    own = {*condensation.before, *condensation.inserted}
    return [*whole, *(message for message in messages if message.id not in own)]


def _is_ours(message: BaseMessage, condensation: Condensation) -> bool:
    """Whether a message is what a condensation put there; someone may have said something else under its id since."""
    if mark_of(message).get("kind") in _SHORTENED:
        return True
    return digest_of(message) == condensation.became.get(str(message.id))


def _found(find: Find, id: str, digest: str, condensation: Condensation) -> BaseMessage:
    message = find(id, digest)
    if message is None:
        text = f"Message {id} of condensation {condensation.id} is not in the archive."
        raise KeyError(text)
    return message
