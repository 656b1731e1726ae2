"""What metadata may consist of: text, numbers, times, lists and dictionaries; never audio, also not in disguise."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError, ValueTooLargeError
from langgraph_session_bridge.records.audio.sketch import NANOSECONDS

LONGEST_ENCODED = 1024
"""So many characters of nothing but base64 may be an identifier or a token; more are content."""
LONGEST_TEXT = 16 * 1024
DEEPEST = 16

_ALPHABET = r"A-Za-z0-9+/_\-"
_UNBROKEN = re.compile(rf"(?<![{_ALPHABET}])[{_ALPHABET}]{{{LONGEST_ENCODED + 1}}}")
_IN_LINES = re.compile(rf"(?<![{_ALPHABET}])(?:[{_ALPHABET}]{{60,}}\r?\n\s*){{{LONGEST_ENCODED // 60},}}")


def checked(value: Any, where: str, depth: int = 0) -> Any:
    """The value, once it is certain that it is metadata.

    Args:
        value: What was handed in, also nested.
        where: Names it in messages.
        depth: How deep it is nested.

    Raises:
        InvalidTypeError: It is or holds audio (bytes, or text that is base64), or nothing that can be stored.
        ValueTooLargeError: A text has over 16 Ki characters, is nested over 16 deep, or a number has over 63 bits.
    """
    if value is None or isinstance(value, (bool, float, datetime)):
        return value
    if isinstance(value, int):
        return _number(value, where)
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise InvalidTypeError(_advice(where, f"{type(value).__name__} of {len(value):,} bytes"))
    if depth >= DEEPEST:
        message = f"{where} is nested over {DEEPEST} deep; store a reference to it."
        raise ValueTooLargeError(message)
    if isinstance(value, Mapping):
        return {_key(key, where): checked(each, f"{where}.{str(key)[:40]}", depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [checked(each, f"{where}[{position}]", depth + 1) for position, each in enumerate(value)]
    message = f"{where} is a {type(value).__name__}; text, numbers, times, lists and dictionaries can be stored."
    raise InvalidTypeError(message)


def text(name: str, value: str) -> str:
    """A name or reference, which is never empty."""
    found = checked(value, name)
    if not isinstance(found, str) or not found:
        message = f"{name} must be text, not {value!r}."
        raise InvalidTypeError(message)
    return found


def whole(name: str, value: int) -> int:
    """A number of things."""
    checked(value, name)
    if isinstance(value, bool) or not isinstance(value, int):
        message = f"{name} must be a whole number, not {value!r}."
        raise InvalidTypeError(message)
    return value


def nanoseconds(name: str, value: float) -> int:
    """A number of seconds, as whole nanoseconds: their sums do not depend on the order."""
    checked(value, name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        message = f"{name} must be a number of seconds, not {value!r}."
        raise InvalidTypeError(message)
    if not math.isfinite(value):
        message = f"{name} must be a number of seconds, not {value!r}."
        raise InvalidInputError(message)
    return round(value * NANOSECONDS)


def one_of(choices: Any, name: str, value: str) -> None:
    """Refuses what a `Literal` does not name."""
    known = get_args(choices)
    if value not in known:
        message = f"{name} is {value!r}; it can be {', '.join(known)}."
        raise InvalidInputError(message)


def given(**fields: Any) -> dict[str, Any]:
    """What was not left out."""
    return {name: value for name, value in fields.items() if value is not None}


def _number(value: int, where: str) -> int:
    if not -(2**63) <= value < 2**63:
        message = f"{where} has {value.bit_length()} bits; whole numbers of up to 63 can be stored."
        raise ValueTooLargeError(message)
    return int(value)


def _text(value: str, where: str) -> str:
    if _UNBROKEN.search(value) or _IN_LINES.search(value):
        raise InvalidTypeError(_advice(where, f"base64 in a text of {len(value):,} characters"))
    if len(value) > LONGEST_TEXT:
        message = f"{where} has {len(value):,} characters; metadata has up to {LONGEST_TEXT:,}: store a reference."
        raise ValueTooLargeError(message)
    return str(value)


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        message = f"{where} has a key that is a {type(key).__name__}; keys are text."
        raise InvalidTypeError(message)
    return _text(key, f"a key of {where}")


def _advice(where: str, found: str) -> str:
    return (
        f"{where} is {found}. Audio is never stored with a session: keep it in a file or an object store, and record "
        "a reference to it, artifact(uri, size_bytes=…, sha256=…)."
    )
