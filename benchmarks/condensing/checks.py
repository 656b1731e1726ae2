"""What must be true of condensed messages, in code of its own: nothing here is shared with the library.

Each check gets the list before and after and tells whether the rule is broken in the result.
"""

from __future__ import annotations

from collections.abc import Callable

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

Messages = list[BaseMessage]
Check = Callable[[Messages, Messages], bool]


def _orphans(messages: Messages) -> set[str]:
    seen: set[str] = set()
    found: set[str] = set()
    for message in messages:
        if isinstance(message, AIMessage):
            seen |= {str(call["id"]) for call in message.tool_calls}
        elif isinstance(message, ToolMessage) and message.tool_call_id not in seen:
            found.add(message.tool_call_id)
    return found


def _unanswered(messages: Messages) -> set[str]:
    calls = {str(c["id"]) for m in messages if isinstance(m, AIMessage) for c in m.tool_calls}
    return calls - {m.tool_call_id for m in messages if isinstance(m, ToolMessage)}


def _ids(messages: Messages) -> set[str]:
    return {str(message.id) for message in messages}


def _is_summary(message: BaseMessage) -> bool:
    extras = message.additional_kwargs
    return extras.get("lc_source") == "summarization" or extras.get("lsb", {}).get("kind") == "summary"


def _users(messages: Messages) -> Messages:
    return [m for m in messages if isinstance(m, HumanMessage) and not _is_summary(m)]


def _is_pinned(message: BaseMessage) -> bool:
    extras = message.additional_kwargs
    return extras.get("pinned") is True or extras.get("lsb", {}).get("pinned") is True


def orphan_result(before: Messages, after: Messages) -> bool:
    """A tool result without its call."""
    return bool(_orphans(after) - _orphans(before))


def lost_result(before: Messages, after: Messages) -> bool:
    """A call whose result was cut."""
    return bool(_unanswered(after) - _unanswered(before))


def unresolved_cut(before: Messages, after: Messages) -> bool:
    """A call in flight was cut."""
    return bool(_unanswered(before) - {str(c["id"]) for m in after if isinstance(m, AIMessage) for c in m.tool_calls})


def bad_start(before: Messages, after: Messages) -> bool:
    """The first message (system messages aside) is neither the user's nor what the chat began with."""
    first = next((m for m in after if not isinstance(m, SystemMessage)), None)
    was = next((m for m in before if not isinstance(m, SystemMessage)), None)
    return first is None or not (isinstance(first, HumanMessage) or (was is not None and first.type == was.type))


def system_lost(before: Messages, after: Messages) -> bool:
    """The system message is gone."""
    return isinstance(before[0], SystemMessage) and str(before[0].id) not in _ids(after)


def first_user_lost(before: Messages, after: Messages) -> bool:
    """The user's first message is gone."""
    return str(_users(before)[0].id) not in _ids(after)


def current_user_lost(before: Messages, after: Messages) -> bool:
    """The user's latest message is gone."""
    return str(_users(before)[-1].id) not in _ids(after)


def pinned_lost(before: Messages, after: Messages) -> bool:
    """A pinned message is gone; nobody but us knows pins."""
    return bool(_ids([m for m in before if _is_pinned(m)]) - _ids(after))


def reordered(before: Messages, after: Messages) -> bool:
    """What stays is in another order."""
    left = _ids(after)
    mine = _ids(before)
    return [m.id for m in before if str(m.id) in left] != [m.id for m in after if str(m.id) in mine]


CHECKS: dict[str, Check] = {
    "orphan result": orphan_result,
    "lost result": lost_result,
    "unresolved cut": unresolved_cut,
    "bad start": bad_start,
    "system lost": system_lost,
    "1st user lost": first_user_lost,
    "current user lost": current_user_lost,
    "pinned lost": pinned_lost,
    "order": reordered,
}


def must_stay(messages: Messages) -> set[str]:
    """Ids of what can't go: system, first user, the whole current turn, pins with their tools, what is in flight."""
    current = messages.index(_users(messages)[-1])
    while current and messages[current - 1] in _users(messages):
        current -= 1
    keep = _ids(messages[current:]) | {str(_users(messages)[0].id)} | _ids([m for m in messages if _is_summary(m)])
    if isinstance(messages[0], SystemMessage):
        keep.add(str(messages[0].id))
    flying = _unanswered(messages)
    for step in _steps(messages):
        calls = {str(c["id"]) for c in step[0].tool_calls} if isinstance(step[0], AIMessage) else set()
        if any(_is_pinned(m) or str(m.id) in keep for m in step) or calls & flying:
            keep |= _ids(step)
    return keep


def _steps(messages: Messages) -> list[Messages]:
    steps: dict[str, Messages] = {}
    found: list[Messages] = []
    for message in messages:
        if isinstance(message, ToolMessage) and message.tool_call_id in steps:
            steps[message.tool_call_id].append(message)
            continue
        found.append([message])
        if isinstance(message, AIMessage):
            steps |= {str(call["id"]): found[-1] for call in message.tool_calls}
    return found
