"""Any Python value as plain JSON: dictionaries with text keys, lists, text, numbers, booleans and null."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import deque
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

MAX_DEPTH = 64
"""What lies deeper is left out: no value may exhaust the stack of the code that records it."""

_MAX_INT_BITS = 8192
_SCALARS = (str, int, float, bool, type(None))


def canonical(tree: Any) -> str:
    """The JSON of a plain value: sorted keys, no spaces, no escapes that are not needed."""
    return json.dumps(tree, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def plain(value: Any, outer: tuple[int, ...] = ()) -> Any:
    """The value as plain JSON; never raises, and never consumes an iterator.

    Args:
        value: Anything.
        outer: Ids of the values that this one lies in.
    """
    kind = type(value)
    if kind in (str, float, bool, type(None)):
        return value
    if kind is int:
        return value if value.bit_length() <= _MAX_INT_BITS else hex(value)
    if id(value) in outer:
        return "<cycle>"
    if len(outer) >= MAX_DEPTH:
        return "<too deep>"
    try:
        return _converted(value, (*outer, id(value)))
    except Exception:  # a recorded value is foreign code: any of its methods may raise anything
        return described(value)


def described(value: Any) -> str:
    """The `repr` of a value, or at least its type."""
    try:
        return str(repr(value))
    except Exception:  # as above
        return f"<{type(value).__name__}>"


def digest(value: bytes | bytearray | memoryview) -> dict[str, Any]:
    """What is recorded of bytes: never they themselves."""
    raw = value if not isinstance(value, memoryview) or value.c_contiguous else value.tobytes()
    return {"bytes": memoryview(raw).nbytes, "sha256": hashlib.sha256(raw).hexdigest()}


def _converted(value: Any, outer: tuple[int, ...]) -> Any:
    if type(value) is dict:  # what most values are made of, before the many questions
        return _dictionary(list(value.items()), outer)
    if type(value) is list:
        return [plain(item, outer) for item in list(value)]
    if isinstance(value, Enum):
        return plain(value.value, outer)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return plain(int.__int__(value), outer)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return digest(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (UUID, PurePath, Decimal)):
        return str(value)
    return _container(value, outer)


def _container(value: Any, outer: tuple[int, ...]) -> Any:
    if isinstance(value, BaseMessage):
        return _dictionary(message_parts(value).items(), outer)
    if isinstance(value, BaseModel):
        return _dictionary(value.model_dump(warnings=False).items(), outer)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _dictionary(((field.name, getattr(value, field.name)) for field in dataclasses.fields(value)), outer)
    if isinstance(value, Mapping):
        return _dictionary(list(value.items()), outer)
    if isinstance(value, (list, tuple, deque)):
        return [plain(item, outer) for item in list(value)]
    if isinstance(value, AbstractSet):
        return sorted((plain(item, outer) for item in list(value)), key=canonical)
    return described(value)


def _dictionary(pairs: Iterable[tuple[Any, Any]], outer: tuple[int, ...]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        name = key if type(key) is str else _name(key, outer)
        while name in result:  # 1 and "1" are two keys of one dictionary
            name += "'"
        result[name] = plain(value, outer)
    return result


def _name(key: Any, outer: tuple[int, ...]) -> str:
    tree = plain(key, outer)
    return tree if isinstance(tree, str) else canonical(tree)


def message_parts(message: BaseMessage) -> dict[str, Any]:
    """What a message says, without ids and metadata that differ from call to call."""
    parts: dict[str, Any] = {"type": message.type, "content": message.content}
    for name in ("tool_calls", "artifact"):
        if part := getattr(message, name, None):
            parts[name] = part
    return parts
