"""Values as typed bytes of the stock serde, within their ceiling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.errors import ValueTooLargeError

Typed = tuple[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes that decide where a value goes, in bytes."""

    inline: int
    ceiling: int


def serialise(serde: SerializerProtocol, value: Any, what: str, ceiling: int) -> Typed:
    """Serialises a value, refusing it by name if it is over the ceiling."""
    kind, data = serde.dumps_typed(value)
    check_size(len(data), what, ceiling)
    return kind, bytes(data)  # a bytearray serialises to itself


def check_size(size: int, what: str, ceiling: int) -> None:
    """Refuses what is over the ceiling.

    Raises:
        ValueTooLargeError: It is.
    """
    if size > ceiling:
        message = f"{what} is {size:,} bytes serialised, over max_value_bytes={ceiling:,}. Nothing was written."
        raise ValueTooLargeError(message)
