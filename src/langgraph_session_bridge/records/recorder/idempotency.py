"""A key for what a tool changes outside: the same for every attempt of one call, whichever process makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables import RunnableConfig

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.tools import call_key

if TYPE_CHECKING:
    from langgraph.prebuilt import ToolRuntime


def idempotency_key(within: ToolRuntime[Any, Any] | RunnableConfig, tool_call_id: str | None = None) -> str:
    """Names the call that a tool is answering, for services that take an idempotency key.

    A retry, a resume, and a run after a crash repeat a call in the same task, and get the same key. It is the
    `idempotency_key` of the call's records.

    ```python
    @tool
    def pay(amount: int, runtime: ToolRuntime) -> str:
        return bank.pay(amount, key=idempotency_key(runtime))
    ```

    Args:
        within: The tool's `ToolRuntime`, or its `RunnableConfig`.
        tool_call_id: The call's id, if `within` is a config; any name that no other call in the same task has.

    Raises:
        InvalidInputError: There is no call: it was not made by a model, or not in a graph.
    """
    config: Mapping[str, Any] = cast("Mapping[str, Any]", getattr(within, "config", within))
    call = tool_call_id or getattr(within, "tool_call_id", None)
    metadata, configurable = config.get("metadata") or {}, config.get("configurable") or {}
    namespace = metadata.get("langgraph_checkpoint_ns") or configurable.get("checkpoint_ns")
    if not call or not namespace:
        missing = "tool_call_id (pass a name that no other call in the task has)" if not call else "task of a graph"
        raise InvalidInputError(f"An idempotency key names a call within a task; there is no {missing} here.")
    thread_id = metadata.get("thread_id") or configurable.get("thread_id") or ""
    return call_key(str(thread_id), str(namespace), str(call))
