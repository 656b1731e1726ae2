"""Ids are opaque text of any content: validated, never parsed."""

from __future__ import annotations

from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError

MAX_ID_CHARS = 32_768


def checked_id(name: str, value: object, *, empty: bool = False) -> str:
    """A text id, as it is.

    Raises:
        InvalidTypeError: It is not a string (a number, or an operator document such as `{"$gt": ""}`).
        InvalidInputError: It is empty, too long or not valid Unicode.
    """
    if not isinstance(value, str):
        message = f"{name} must be a string, not {type(value).__name__} ({str(value)[:60]!r}). Convert it with str()."
        raise InvalidTypeError(message)
    if not value and not empty:
        message = f"{name} is empty; give every conversation an id of its own."
        raise InvalidInputError(message)
    if len(value) > MAX_ID_CHARS:
        message = f"{name} has {len(value):,} characters, the limit is {MAX_ID_CHARS:,}."
        raise InvalidInputError(message)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        message = f"{name} {value[:60]!r} is not valid Unicode (unpaired surrogate), so no server can store it."
        raise InvalidInputError(message) from error
    return value
