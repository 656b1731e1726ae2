"""The condenser for `create_agent`; needs LangChain (extra `agents`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NotRequired

from langchain_core.messages import AIMessage, BaseMessage
from langgraph.config import get_config
from langgraph.runtime import Runtime

from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.view import resumed

try:
    from langchain.agents.middleware.internal_call_transformer import InternalCallTransformer
    from langchain.agents.middleware.types import (
        AgentMiddleware,
        AgentState,
        ModelRequest,
        ModelResponse,
        PrivateStateAttr,
    )
except ImportError as error:
    message = "CondenserMiddleware needs LangChain: pip install 'langgraph-session-bridge[agents]'."
    raise ImportError(message) from error


class CondensedState(AgentState[Any]):
    """An agent's state with what the condenser remembers of the view that the model saw last."""

    condensed_view: NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]


class CondenserMiddleware(AgentMiddleware[CondensedState, Any, Any]):
    """Condenses an agent's messages before each model call.

    A condenser in mode `compact` trims the state; in mode `view` the state stays whole and the model sees less.

    Example:
        ```python
        condenser = Condenser(Summarizing(model), trigger=("tokens", 8000), archive=archive)
        agent = create_agent(model, tools, middleware=[CondenserMiddleware(condenser)], checkpointer=saver)
        ```
    """

    state_schema = CondensedState
    transformers = (InternalCallTransformer,)

    def __init__(self, condenser: Condenser) -> None:
        super().__init__()
        self.condenser = condenser
        self.tools = []

    def before_model(self, state: CondensedState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Trims the state, or remembers the view."""
        if self.condenser.mode == "compact":
            return self.condenser.invoke(state, get_config())
        _, record = self.condenser.look(state["messages"], state.get("condensed_view"), get_config())
        return None if record is None else {"condensed_view": record}

    async def abefore_model(self, state: CondensedState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """`before_model` on an event loop."""
        if self.condenser.mode == "compact":
            return await self.condenser.ainvoke(state, get_config())
        _, record = await self.condenser.alook(state["messages"], state.get("condensed_view"), get_config())
        return None if record is None else {"condensed_view": record}

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | AIMessage:
        """Shows the model the view."""
        return handler(self._shown(request))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any] | AIMessage:
        """`wrap_model_call` on an event loop."""
        return await handler(self._shown(request))

    def _shown(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        if self.condenser.mode == "compact":
            return request
        messages: list[BaseMessage] = list(request.messages)
        return request.override(messages=resumed(messages, request.state.get("condensed_view")))  # type: ignore[arg-type]
