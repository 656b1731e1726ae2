"""Middleware for `langchain.agents.create_agent`: the model is told what is queued for the thread (extra `agents`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import AnyMessage, HumanMessage

from langgraph_session_bridge.records.context.queue import ContextQueues
from langgraph_session_bridge.records.context.telling import QueuedContext, Render, extended, rendered, with_context
from langgraph_session_bridge.records.context.waiting import Taking
from langgraph_session_bridge.records.models import ContextKind


class ContextMiddleware(AgentMiddleware[Any, Any, Any]):
    """Tells the model what is queued for its thread, in the call alone: nothing of it gets into the state.

    It changes the system message and the messages of the request, and nothing else. What it told is noted as injected
    once the model answered; after a failed call it goes on waiting, and middleware that retries the model's calls gets
    it again. Put it behind middleware that condenses or replaces messages.

    Example:
        ```python
        agent = create_agent(model, tools, middleware=[ContextMiddleware(queues)])
        ```
    """

    def __init__(
        self,
        queues: ContextQueues,
        *,
        kinds: Sequence[ContextKind] | None = None,
        max_items: int | None = None,
        max_chars: int | None = None,
        render: Render = rendered,
    ) -> None:
        """Tells what waits in some queues.

        Args:
            queues: The queues.
            kinds: Only these.
            max_items: At most so many for one call.
            max_chars: At most so many characters for one call; but always one text.
            render: Makes the text that the model reads.
        """
        super().__init__()
        self._queues, self._render = queues, render
        self._kinds, self._max_items, self._max_chars = kinds, max_items, max_chars

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Tells it in a synchronous run."""
        taking = self._taking(request)
        if taking is None:
            return handler(request)
        with taking as items:
            return handler(self._told(request, items))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Tells it in an asynchronous run."""
        taking = self._taking(request)
        if taking is None:
            return await handler(request)
        async with taking as items:
            return await handler(self._told(request, items))

    def _taking(self, request: ModelRequest[Any]) -> Taking | None:
        info = request.runtime.execution_info
        if info is None or not info.thread_id:  # without a checkpointer there need not be a thread
            return None
        return self._queues.of(info.thread_id).taking(
            kinds=self._kinds,
            max_items=self._max_items,
            max_chars=self._max_chars,
            trigger_message_id=_last_human(request.messages),
        )

    def _told(self, request: ModelRequest[Any], items: Sequence[QueuedContext]) -> ModelRequest[Any]:
        system = [item for item in items if item.role == "system"]
        user = [item for item in items if item.role == "user"]
        if system:
            request = request.override(system_message=extended(request.system_message, system, render=self._render))
        if user:
            request = request.override(messages=with_context(request.messages, user, render=self._render))
        return request


def _last_human(messages: Sequence[AnyMessage]) -> str | None:
    return next((message.id for message in reversed(messages) if isinstance(message, HumanMessage)), None)
