"""Fingerprints of values: two are equal only if the serde would write the same bytes (or 128 bits collide).

Content decides, since users mutate messages in place; identity proves nothing. Most of what serialising a message
costs is building a dictionary from the model. For a closed set of message classes the instance's own dictionary says
the same, and packing that strictly (any type but JSON's own is refused) costs an eighth. The rest is serialised.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

import ormsgpack
import xxhash
from langchain_core import messages
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_session_bridge.checkpoint.serialising import Typed

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
_MESSAGES_TOGETHER = 3
_PLAIN_TOGETHER = 4
MESSAGES: dict[type, int] = {
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
_AT_ONCE = 64
_packb = ormsgpack.packb
_digest = xxhash.xxh3_128_digest


class Prints(NamedTuple):
    """Fingerprints of a list: of each element, and of each 64 together."""

    each: bytes = b""
    blocks: bytes = b""


NO_PRINTS = Prints()


class Fingerprints:
    """Takes fingerprints under one serde; they mean nothing to another process."""

    def __init__(self, serde: SerializerProtocol) -> None:
        self._encrypts = isinstance(serde, EncryptedSerializer)
        while isinstance(serde, EncryptedSerializer):  # a random nonce makes equal values look different
            serde = serde.serde
        self._serde = serde
        self._stock = type(serde) is JsonPlusSerializer

    def of_list(self, values: Sequence[Any], known: Prints = NO_PRINTS) -> Prints:
        """Fingerprints of a list; where 64 elements are as known together, those of each are taken from there."""
        each: list[bytes] = []
        blocks: list[bytes] = []
        for number, at in enumerate(range(0, len(values), _AT_ONCE)):
            some = values[at : at + _AT_ONCE]
            block = self._of_block(some)
            if block is not None and block == known.blocks[number * WIDTH : (number + 1) * WIDTH]:
                each.append(known.each[at * WIDTH : (at + len(some)) * WIDTH])
            else:
                each.append(b"".join(map(self.of, some)))
            blocks.append(block or bytes(WIDTH))
        return Prints(b"".join(each), b"".join(blocks))

    def _of_block(self, values: Sequence[Any]) -> bytes | None:
        """One fingerprint for all, if all are plain messages or all are JSON's own types."""
        if not self._stock:
            return None
        classes = [MESSAGES.get(type(value)) for value in values]
        try:
            if None not in classes:
                if [value for value in values if value.__pydantic_extra__]:
                    return None
                packed = _packb([classes, [value.__dict__ for value in values]], option=_STRICT)
                return _digest(packed, _SEED + _MESSAGES_TOGETHER)
            if any(classes) or [value for value in values if type(value) in (bytes, bytearray)]:
                return None
            return _digest(_packb(values, option=_STRICT), _SEED + _PLAIN_TOGETHER)
        except ormsgpack.MsgpackEncodeError:
            return None

    def without_id(self, value: Any) -> bytes | None:
        """Fingerprint that a message had before its reducer gave it an id; `None` for other values."""
        if not self._stock or type(value) not in MESSAGES or value.__pydantic_extra__:
            return None
        try:
            packed = ormsgpack.packb({**value.__dict__, "id": None}, option=_STRICT)
        except ormsgpack.MsgpackEncodeError:
            return None
        return _digest(packed, _SEED + MESSAGES[type(value)])

    def of(self, value: Any, typed: Typed | None = None) -> bytes:
        """Fingerprint of one value; `typed` is what the serde made of it, if it was serialised already."""
        kind, packed = self._packed(value, None if self._encrypts else typed)
        return _digest(packed, _SEED + kind)

    def _packed(self, value: Any, typed: Typed | None) -> tuple[int, bytes]:
        cls = type(value)
        if self._stock and cls is not bytes and cls is not bytearray:
            number = MESSAGES.get(cls)
            try:
                if number is None:
                    return _PLAIN, ormsgpack.packb(value, option=_STRICT)
                fields, extras = value.__dict__, value.__pydantic_extra__
                if extras:
                    return number + 128, ormsgpack.packb([fields, extras], option=_STRICT)
                return number, ormsgpack.packb(fields, option=_STRICT)
            except ormsgpack.MsgpackEncodeError:
                pass  # not only JSON's own types inside
        name, data = typed or self._serde.dumps_typed(value)
        return _SERIALISED, name.encode() + b"\0" + bytes(data)
