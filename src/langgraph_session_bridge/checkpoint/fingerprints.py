"""Fingerprints of values: two are equal only if the serde would write the same bytes (or 128 bits collide).

Content decides, since users mutate messages in place; identity proves nothing. Most of what serialising a message
costs is building a dictionary from the model. For a closed set of message classes the instance's own dictionary says
the same, and packing that strictly (any type but JSON's own is refused) costs an eighth. The rest is serialised.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

import ormsgpack
import xxhash
from langchain_core import messages
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

WIDTH = 16
"""Bytes of one fingerprint."""

_STRICT = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
_SEED = secrets.randbits(56) << 8
"""The process's own, for all savers alike: shallow copies of one share what it remembers."""
_PLAIN = 1
_SERIALISED = 2
_MESSAGES: dict[type, int] = {
    cls: number
    for number, cls in enumerate(
        (
            messages.AIMessage,
            messages.AIMessageChunk,
            messages.ChatMessage,
            messages.FunctionMessage,
            messages.HumanMessage,
            messages.RemoveMessage,
            messages.SystemMessage,
            messages.ToolMessage,
        ),
        start=8,
    )
}
"""Classes that are stored as their fields and extras, nothing else."""


class Fingerprints:
    """Takes fingerprints under one serde; they mean nothing to another process."""

    def __init__(self, serde: SerializerProtocol) -> None:
        while isinstance(serde, EncryptedSerializer):  # a random nonce makes equal values look different
            serde = serde.serde
        self._serde = serde
        self._stock = type(serde) is JsonPlusSerializer

    def of_each(self, values: Iterable[Any]) -> bytes:
        """Fingerprints of values, one after the other."""
        return b"".join(map(self.of, values))

    def without_id(self, value: Any) -> bytes | None:
        """Fingerprint that a message had before its reducer gave it an id; `None` for other values."""
        if not self._stock or type(value) not in _MESSAGES or value.__pydantic_extra__:
            return None
        try:
            packed = ormsgpack.packb({**value.__dict__, "id": None}, option=_STRICT)
        except ormsgpack.MsgpackEncodeError:
            return None
        return xxhash.xxh3_128_digest(packed, _SEED + _MESSAGES[type(value)])

    def of(self, value: Any) -> bytes:
        """Fingerprint of one value."""
        kind, packed = self._packed(value)
        return xxhash.xxh3_128_digest(packed, _SEED + kind)

    def _packed(self, value: Any) -> tuple[int, bytes]:
        cls = type(value)
        if self._stock and cls is not bytes and cls is not bytearray:
            number = _MESSAGES.get(cls)
            try:
                if number is None:
                    return _PLAIN, ormsgpack.packb(value, option=_STRICT)
                fields, extras = value.__dict__, value.__pydantic_extra__
                if extras:
                    return number + 128, ormsgpack.packb([fields, extras], option=_STRICT)
                return number, ormsgpack.packb(fields, option=_STRICT)
            except ormsgpack.MsgpackEncodeError:
                pass  # not only JSON's own types inside
        name, data = self._serde.dumps_typed(value)
        return _SERIALISED, name.encode() + b"\0" + bytes(data)
