"""Values that are stored by element: taken apart on the way in, put together on the way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import _DeltaSnapshot

_SEQUENCES: dict[type, str] = {list: "list", tuple: "tuple"}


def take_apart(value: Any) -> tuple[str, list[Any]] | None:
    """Shape and elements of a list, tuple, dictionary with string keys, or snapshot of a list; else `None`.

    Subclasses are left alone, since the serde may treat them as something else; and so are lists of `bytearray`, which
    the stock serde returns as `bytes` from inside a list, and as itself alone.
    """
    cls = type(value)
    if cls is dict and all(type(key) is str for key in value):
        return "dict", [[key, item] for key, item in value.items()]
    if cls is _DeltaSnapshot and type(value.value) is list:
        return _unless_bytearrays("delta", value.value)
    return _unless_bytearrays(_SEQUENCES[cls], value) if cls in _SEQUENCES else None


def _unless_bytearrays(shape: str, elements: Sequence[Any]) -> tuple[str, list[Any]] | None:
    return None if bytearray in set(map(type, elements)) else (shape, list(elements))


def put_together(shape: str, elements: Sequence[Any], serde: SerializerProtocol) -> Any:
    """The value again, as the serde would return it whole (the stock serde turns tuples into lists)."""
    match shape:
        case "dict":
            return dict(elements)
        case "delta":
            return _DeltaSnapshot(list(elements))
        case "tuple":
            return type(serde.loads_typed(serde.dumps_typed(())))(elements)
    return list(elements)
