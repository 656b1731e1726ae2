"""Values that are stored by element: taken apart on the way in, put together on the way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import _DeltaSnapshot


def take_apart(value: Any) -> tuple[str, list[Any]] | None:
    """Shape and elements of a list, tuple, dictionary with string keys, or snapshot of a list; else `None`.

    Subclasses are left alone: the serde may treat them as something else.
    """
    cls = type(value)
    if cls is list:
        return "list", list(value)
    if cls is dict and all(type(key) is str for key in value):
        return "dict", [[key, item] for key, item in value.items()]
    if cls is tuple:
        return "tuple", list(value)
    if cls is _DeltaSnapshot and type(value.value) is list:
        return "delta", list(value.value)
    return None


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
