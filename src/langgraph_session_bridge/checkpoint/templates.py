"""Decoded elements that are kept to be copied: the same bytes are decoded once, and every caller gets fresh objects.

Only messages of a closed set of classes with plain content are kept, only as decoded by the stock serde, and the kept
object is never handed out. Everything else is decoded each time.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import xxhash
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_session_bridge.checkpoint.fingerprints import MESSAGES
from langgraph_session_bridge.checkpoint.serialising import Typed

Key = tuple[int, str, bytes]
"""Who may use a template, and kind and digest of what it was decoded from."""

_SEED = secrets.randbits(63)
_ATOMS = frozenset({str, int, float, bool, type(None)})
_OBJECT_BYTES = 1500
"""What a kept message weighs besides its text, roughly."""


class Template(NamedTuple):
    """A message by its parts. Containers in `fields` are copied for each message made from it."""

    cls: type[BaseMessage]
    fields: dict[str, Any]
    fields_set: set[str]
    extra: dict[str, Any] | None
    flat: tuple[str, ...]
    deep: tuple[str, ...]
    size: int

    def make(self) -> BaseMessage:
        """A fresh message."""
        message = self.cls.__new__(self.cls)
        fields = self.fields.copy()
        for name in self.flat:
            fields[name] = fields[name].copy()
        for name in self.deep:
            fields[name] = _fresh(fields[name])
        assign = object.__setattr__
        assign(message, "__dict__", fields)
        assign(message, "__pydantic_fields_set__", self.fields_set.copy())
        assign(message, "__pydantic_extra__", _fresh(self.extra))
        assign(message, "__pydantic_private__", None)
        return message


def template_of(value: Any, size: int) -> Template | None:
    """The template of a decoded message; `None` for what is decoded anew each time."""
    if type(value) not in MESSAGES or value.__pydantic_private__ is not None:
        return None
    fields, extra = value.__dict__, value.__pydantic_extra__
    if not _plain(fields) or not _plain(extra):
        return None
    containers = {name: item for name, item in fields.items() if type(item) in (dict, list)}
    return Template(
        cls=type(value),
        fields={name: _fresh(item) for name, item in fields.items()},
        fields_set=set(value.__pydantic_fields_set__),
        extra=_fresh(extra),
        flat=tuple(name for name, item in containers.items() if _flat(item)),
        deep=tuple(name for name, item in containers.items() if not _flat(item)),
        size=_OBJECT_BYTES + 2 * size,
    )


def _plain(value: Any) -> bool:
    cls = type(value)
    if cls is dict:
        return all(type(key) is str and _plain(item) for key, item in value.items())
    return all(map(_plain, value)) if cls is list else cls in _ATOMS


def _flat(value: dict[str, Any] | list[Any]) -> bool:
    items = value.values() if isinstance(value, dict) else value
    return all(type(item) in _ATOMS for item in items)


def _fresh(value: Any) -> Any:
    cls = type(value)
    if cls is dict:
        return {key: _fresh(item) for key, item in value.items()} if value else {}
    if cls is list:
        return [_fresh(item) for item in value] if value else []
    return value


class Templates:
    """Bounded memory of templates by what they were decoded from, shared by all loops and threads of a saver."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, Template] = OrderedDict()
        self._serdes: dict[int, SerializerProtocol] = {}
        self._lock = threading.Lock()

    @property
    def weight(self) -> int:
        """What the kept messages weigh, roughly."""
        return self._bytes

    def load(self, serde: SerializerProtocol, elements: Sequence[Typed]) -> list[Any]:
        """Decodes elements, from templates where there are any."""
        owner = self._owner(serde)
        if owner is None:
            return [serde.loads_typed(element) for element in elements]
        return [self._load(owner, serde, element) for element in elements]

    def _load(self, owner: int, serde: SerializerProtocol, element: Typed) -> Any:
        key = (owner, element[0], xxhash.xxh3_128_digest(element[1], _SEED))
        found = self._kept.get(key)
        if found is not None:
            return found.make()
        value = serde.loads_typed(element)
        if template := template_of(value, len(element[1])):
            self._keep(key, template)
        return value

    def _owner(self, serde: SerializerProtocol) -> int | None:
        """Who may share templates: all stock serdes, or users of one encrypting serde, which holds the key."""
        if not self._max_bytes:
            return None
        if type(serde) is JsonPlusSerializer:
            return 0
        if type(serde) is EncryptedSerializer and type(serde.serde) is JsonPlusSerializer:
            self._serdes[id(serde)] = serde  # kept, so that its id is nobody else's
            return id(serde)
        return None

    def _keep(self, key: Key, template: Template) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = template
            self._bytes += template.size
            while self._bytes > self._max_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.size
