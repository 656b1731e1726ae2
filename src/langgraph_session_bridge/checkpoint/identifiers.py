"""Checks what callers hand in. Ids are opaque text of any content: validated, never parsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig

from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError
from langgraph_session_bridge.ids import checked_id

FENCE = "session_fence"
"""Entry of `configurable` with the token of a lease."""


def configurable_of(config: object) -> Mapping[str, Any]:
    """The `configurable` part of a config."""
    if not isinstance(config, Mapping):
        message = f'config must be a dict like {{"configurable": {{"thread_id": "…"}}}}, not {type(config).__name__}.'
        raise InvalidTypeError(message)
    configurable = config.get("configurable")
    if not isinstance(configurable, Mapping) or "thread_id" not in configurable:
        message = (
            "config has no thread_id. Pass the conversation's id when invoking the graph: "
            '{"configurable": {"thread_id": "…"}}.'
        )
        raise InvalidInputError(message)
    return configurable


def address(config: RunnableConfig) -> tuple[str, str, str]:
    """Thread id, namespace and checkpoint id (empty if none) that a config names."""
    configurable = configurable_of(config)
    return (
        checked_id("thread_id", configurable["thread_id"]),
        checked_id("checkpoint_ns", _or_empty(configurable.get("checkpoint_ns")), empty=True),
        optional_checkpoint_id(configurable),
    )


def fence_of(config: RunnableConfig) -> int:
    """The token of the lease that a run is made under; 0 for none."""
    fence = configurable_of(config).get(FENCE)
    if fence is None:
        return 0
    if type(fence) is not int or fence < 1:
        raise InvalidInputError(f"{FENCE} must be the token of a lease (`lease.fence`), not {fence!r:.80}.")
    return fence


def optional_checkpoint_id(configurable: Mapping[str, Any]) -> str:
    """The checkpoint id of a config's `configurable`; empty if it names none."""
    return checked_id("checkpoint_id", _or_empty(configurable.get("checkpoint_id")), empty=True)


def _or_empty(value: object) -> object:
    return "" if value is None else value


def checked_writes(writes: Sequence[tuple[str, Any]]) -> None:
    """Refuses writes whose channel is not a name."""
    for channel, _ in writes:
        checked_id("channel", channel, empty=True)


def checked_filter(value: object) -> dict[str, Any]:
    """A metadata filter: data to compare with, never a query."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        message = f"filter must be a dict from metadata keys to values, not {value!r:.80}."
        raise InvalidTypeError(message)
    return dict(value)


def checked_limit(value: object) -> int | None:
    """How many checkpoints to list at most."""
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        message = f"limit must be an integer or None, not {value!r:.60}."
        raise InvalidTypeError(message)
    if value < 0:
        message = f"limit must not be negative, but is {value}."
        raise InvalidInputError(message)
    return value


def checked_ids(name: str, values: object) -> list[str]:
    """A list of ids; a bare string is refused, since its characters would be taken for ids."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        message = f"{name} must be a list of strings, not {values!r:.60}."
        raise InvalidTypeError(message)
    return [checked_id(f"{name}[{position}]", value) for position, value in enumerate(values)]
