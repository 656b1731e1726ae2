"""What is kept of a recorded value: always its size and hash; its text redacted, then cut, if the level says so."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

from langchain_core.messages import ToolMessage
from pydantic import BaseModel, ConfigDict

from langgraph_session_bridge.errors import ConfigurationError
from langgraph_session_bridge.records.capture.plain import canonical, described, digest, plain
from langgraph_session_bridge.records.capture.secrets import REDACTED, is_sensitive, redacted
from langgraph_session_bridge.settings import Settings

CaptureLevel = Literal["none", "digest", "full"]
"""What is kept of a value's text: nothing, its first characters, or all of it up to a ceiling."""

Redactor = Callable[[str], str]

JSON, TEXT, BINARY = "application/json", "text/plain", "application/octet-stream"
REDACTION_FAILED = "<redacted: a redactor failed>"
_NAME_MAX_BYTES = 1024
_DEFAULT_KEYS: str = Settings.model_fields["redact_keys"].default


class Captured(BaseModel):
    """What was kept of a value.

    `bytes` and `sha256` are those of the value as it was: of its UTF-8 (text), of its bytes, or of its canonical JSON
    (sorted keys, no spaces). They depend neither on the level nor on what was redacted.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    bytes: int
    """Size of the whole value."""
    sha256: str
    """Hash of the whole value, in hexadecimal digits."""
    text: str | None = None
    """Text or JSON, redacted and then cut; None for bytes and at level `none`."""
    truncated: bool = False
    """Whether `text` was cut."""
    content_type: str = JSON
    """What the value was."""


@dataclass(frozen=True, kw_only=True)
class Capture:
    """How values are captured.

    Attributes:
        level: `none` keeps size and hash, `digest` also the first `digest_chars` characters, `full` up to
            `max_value_bytes`.
        redact_keys: Regular expression: values under a matching name are redacted, at any depth; None redacts none.
        redactors: Functions that get each text (and each key) and return it without what must not be stored. If one
            of them fails, nothing of that text is stored.
        max_value_bytes: Most bytes of a text that are kept.
        digest_chars: Most characters that are kept at level `digest`.
    """

    level: CaptureLevel = "digest"
    redact_keys: str | None = _DEFAULT_KEYS
    redactors: tuple[Redactor, ...] = ()
    max_value_bytes: int = 64 * 1024
    digest_chars: int = 256
    _keys: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.level not in get_args(CaptureLevel):
            levels = ", ".join(get_args(CaptureLevel))
            raise ConfigurationError(f"Capture level {self.level!r} is unknown; there are {levels}.")
        if self.max_value_bytes < 0 or self.digest_chars < 0:
            raise ConfigurationError("max_value_bytes and digest_chars cannot be negative.")
        try:
            keys = re.compile(self.redact_keys) if self.redact_keys is not None else None
        except re.error as error:
            message = f"redact_keys is not a regular expression ({error}): {self.redact_keys!r}"
            raise ConfigurationError(message) from error
        object.__setattr__(self, "_keys", keys)

    def take(self, value: Any, *, key: str = "") -> Captured:
        """Captures any value; never raises.

        Args:
            value: Text, bytes, a message, a model, or anything else: what is no JSON is taken by its `repr`.
            key: Name of the value; one that announces a secret redacts it all.
        """
        try:
            return self._taken(value, key)
        except Exception:  # foreign code: even asking for a value's class may raise anything
            return self._taken(described(value), key)

    def _taken(self, value: Any, key: str) -> Captured:
        if isinstance(value, ToolMessage):
            value = value.content if value.artifact is None else {"content": value.content, "artifact": value.artifact}
        if isinstance(value, (bytes, bytearray, memoryview)):
            return Captured(**digest(value), content_type=BINARY)
        tree = plain(value)
        is_text = isinstance(tree, str)
        raw = (tree if is_text else canonical(tree)).encode("utf-8", "surrogatepass")
        text, truncated = self._shown(tree, key)
        return Captured(
            bytes=len(raw),
            sha256=hashlib.sha256(raw).hexdigest(),
            text=text,
            truncated=truncated,
            content_type=TEXT if is_text else JSON,
        )

    def text(self, value: str) -> Captured:
        """Captures text."""
        return self.take(value)

    def name(self, value: Any) -> str | None:
        """A short text that names something, an address for example: redacted and cut, but kept at any level."""
        return None if value is None else self._named.take(value).text

    def cleaned(self, tree: Any, key: str = "") -> Any:
        """A plain value with its secrets redacted, and nothing else left out, whatever the level.

        Args:
            tree: Plain JSON: see `plain`.
            key: Name of the value; one that announces a secret redacts it all.
        """
        if self._announces(key):
            return REDACTED
        if isinstance(tree, str):
            return self._clean(tree, len(tree))
        if isinstance(tree, dict):
            return {self.cleaned(name): self.cleaned(value, name) for name, value in tree.items()}
        return [self.cleaned(item) for item in tree] if isinstance(tree, list) else tree

    @cached_property
    def _named(self) -> Capture:
        return replace(self, level="full", max_value_bytes=_NAME_MAX_BYTES)

    def _shown(self, tree: Any, key: str) -> tuple[str | None, bool]:
        if self.level == "none":
            return None, False
        limit = self.max_value_bytes
        if self.level == "digest":
            limit = min(limit, self.digest_chars)
        if self._announces(key):
            tree = REDACTED
        pieces = iter((self._clean(tree, limit),)) if isinstance(tree, str) else self._pieces(tree, limit)
        return _cut(pieces, limit, self.max_value_bytes)

    def _pieces(self, tree: Any, limit: int) -> Iterator[str]:
        """The canonical JSON of a redacted value, bit by bit: only what is kept needs to be made."""
        if isinstance(tree, dict):
            opening = "{"
            for name in sorted(tree):
                yield f"{opening}{_json(self._clean(name, limit))}:"
                yield from self._pieces(REDACTED if self._announces(name) else tree[name], limit)
                opening = ","
            yield "}" if tree else "{}"
        elif isinstance(tree, list):
            opening = "["
            for item in tree:
                yield opening
                yield from self._pieces(item, limit)
                opening = ","
            yield "]" if tree else "[]"
        else:
            yield _json(self._clean(tree, limit) if isinstance(tree, str) else tree)

    def _announces(self, name: str) -> bool:
        return self._keys is not None and is_sensitive(self._keys, name)

    def _clean(self, text: str, limit: int) -> str:
        if not self.redactors:
            return redacted(text, self._keys, limit)
        try:
            for redactor in self.redactors:
                text = str(redactor(text))
        except Exception:  # foreign code; what it could not clean must not be stored
            return REDACTION_FAILED
        return redacted(text, self._keys, limit)


def _json(scalar: Any) -> str:
    return json.dumps(scalar, ensure_ascii=False)


def _cut(pieces: Iterator[str], limit: int, max_bytes: int) -> tuple[str, bool]:
    kept: list[str] = []
    size = 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size > limit:
            break
    # A lone surrogate has no UTF-8 and cannot be stored.
    text = "".join(kept)[:limit].encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")
    return text, size > len(text)
