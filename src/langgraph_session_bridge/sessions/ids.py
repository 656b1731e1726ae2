"""Names and values that describe a session: made so that nobody can guess them, and checked before they are stored."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError, ValueTooLargeError
from langgraph_session_bridge.ids import checked_id
from langgraph_session_bridge.records.audio.no_audio import checked
from langgraph_session_bridge.records.capture.plain import plain

IdFactory = Callable[[], str]
"""Makes the id of a session; each one new, and none to be guessed from others."""

RESERVED = "\x1f"
"""Threads whose ids begin so are the library's own."""
MAX_ID_CHARS = 256
MAX_TEXT_CHARS = 1_000
MAX_TAGS, MAX_TAG_CHARS = 100, 100
MAX_METADATA_BYTES = 64 * 1024
MAX_KEY_CHARS = 128

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's: no letters that look like others."""
_RANDOM_BITS = 130
_SEARCHABLE = re.compile(r"[^$.\x00][^.\x00]*")


def new_id() -> str:
    """36 characters that sort by time: milliseconds, then 130 random bits.

    They tell when the session was made. Where that is nobody's business, pass another `id_factory`.
    """
    return _encoded(time.time_ns() // 1_000_000, 50) + _encoded(secrets.randbits(_RANDOM_BITS), _RANDOM_BITS)


def _encoded(number: int, bits: int) -> str:
    return "".join(_DIGITS[number >> shift & 31] for shift in range(bits - 5, -1, -5))


def session_id(value: object, name: str = "session_id") -> str:
    """An id of a session, as it is.

    Raises:
        InvalidTypeError: It is not text.
        InvalidInputError: It is empty, over 256 characters, or has characters that cannot be seen, or spaces around it.
    """
    found = checked_id(name, value)
    if len(found) > MAX_ID_CHARS:
        raise InvalidInputError(f"{name} has {len(found):,} characters, the limit is {MAX_ID_CHARS}.")
    return _visible(name, found)


def thread_id(value: object, name: str = "thread_id") -> str:
    """A thread that can be a session, as it is.

    Raises:
        InvalidTypeError: It is not text.
        InvalidInputError: It is empty or too long, or one where this library keeps what is no session.
    """
    found = checked_id(name, value)
    if found.startswith(RESERVED):
        raise InvalidInputError(f"{name} {found[:60]!r} is reserved.")
    return found


def name(what: str, value: object) -> str | None:
    """A short text such as a title or the id of a user, or none.

    Raises:
        InvalidTypeError: It is not text.
        InvalidInputError: It is empty, too long, or has characters that cannot be seen.
    """
    if value is None:
        return None
    found = checked_id(what, value)
    if len(found) > MAX_TEXT_CHARS:
        raise InvalidInputError(f"{what} has {len(found):,} characters, the limit is {MAX_TEXT_CHARS:,}.")
    return _visible(what, found)


def names(what: str, values: object) -> list[str]:
    """Tags, or modes: each once, in the order given.

    Raises:
        InvalidTypeError: They are no texts.
        InvalidInputError: There are too many, or one cannot be used.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidTypeError(f"{what} must be several texts, for example ['a'], not {values!r:.60}.")
    found = list(dict.fromkeys(_visible(what, checked_id(what, value)) for value in values))
    if len(found) > MAX_TAGS or any(len(each) > MAX_TAG_CHARS for each in found):
        message = f"{what} may be {MAX_TAGS} texts of {MAX_TAG_CHARS} characters at most."
        raise InvalidInputError(message)
    return found


def metadata(values: object, what: str = "metadata") -> dict[str, Any]:
    """Metadata as plain JSON; times become text.

    Raises:
        InvalidTypeError: It is no mapping from text, or holds bytes or objects.
        InvalidInputError: A name cannot be searched for: it is empty, has a dot, or begins with a dollar sign.
        ValueTooLargeError: All of it is over 64 KiB, or a text in it over 16 Ki characters.
    """
    if not isinstance(values, Mapping):
        raise InvalidTypeError(f"{what} must be a mapping, not {type(values).__name__}.")
    for key in values:
        metadata_key(key, what)
    found: dict[str, Any] = plain(checked(values, what))
    size = len(json.dumps(found, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size > MAX_METADATA_BYTES:
        message = f"{what} has {size:,} bytes, the limit is {MAX_METADATA_BYTES:,}; store a reference in it."
        raise ValueTooLargeError(message)
    return found


def metadata_key(key: object, what: str = "metadata") -> str:
    """A name in metadata.

    Raises:
        InvalidTypeError: It is not text.
        InvalidInputError: It is empty, too long, has a dot, or begins with a dollar sign.
    """
    found = checked_id(f"A name in {what}", key)
    if len(found) > MAX_KEY_CHARS or not _SEARCHABLE.fullmatch(found):
        message = (
            f"{what} cannot have the name {found[:60]!r}: up to {MAX_KEY_CHARS} characters, no dots, no dollar sign in "
            "front."
        )
        raise InvalidInputError(message)
    return found


def _visible(what: str, value: str) -> str:
    if not value.isprintable() or value != value.strip():
        message = f"{what} {value[:60]!r} has characters that cannot be seen, or spaces around it."
        raise InvalidInputError(message)
    return value
