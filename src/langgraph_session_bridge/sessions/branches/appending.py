"""Messages that did not come through the graph: what was said in a voice session, for example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from langgraph_session_bridge.errors import InvalidTypeError, SessionEndedError
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.lifecycle.leasing import shown
from langgraph_session_bridge.sessions.stores.keeping import COUNTERS


class Appending:
    """The part of `SessionManager` that takes messages from outside of graphs."""

    _context: Context

    def append_message(
        self,
        session: SessionLike,
        *messages: BaseMessage,
        graph: Any,
        key: str = "messages",
        as_node: str | None = None,
    ) -> Call[None]:
        """Adds messages to a session's state, by `graph.update_state`; one of a human counts as a turn.

        It needs the graph, whose reducer knows what adding means. To the state a repetition is harmless if the messages
        have ids.

        Args:
            session: The session, its id, or a lease of it.
            *messages: One or several.
            graph: The compiled graph.
            key: Key of the state that holds the messages.
            as_node: The node that they are said to come from: what comes after that is next.

        Raises:
            SessionNotFoundError: There is no such session.
            SessionEndedError: It has ended or expired.
            InvalidTypeError: Something is no message.
        """
        return self._context.call(self._append(session, messages, graph, key, as_node))

    async def _append(
        self, session: SessionLike, messages: Sequence[BaseMessage], graph: Any, key: str, as_node: str | None
    ) -> None:
        for message in messages:
            if not isinstance(message, BaseMessage):
                raise InvalidTypeError(f"A message is a LangChain message, not {type(message).__name__}.")
        context = self._context
        found = await context.registry.get(context.place(session))
        if not found.is_open:
            raise SessionEndedError(f"Session {found.session_id[:80]!r} is {found.status}; `reopen` it first.")
        if not messages:
            return
        config = {"configurable": {"thread_id": found.thread_id, **shown(session)}}
        await graph.aupdate_state(config, {key: list(messages)}, as_node=as_node)
        turns = sum(message.type == "human" for message in messages)
        context.follower.count(found.thread_id, {(COUNTERS, "turns"): turns})
        await context.follower.settle(found.thread_id)
