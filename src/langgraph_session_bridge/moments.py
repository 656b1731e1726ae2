"""Times: with a zone, and as precise as MongoDB keeps them."""

from __future__ import annotations

from datetime import UTC, datetime

from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError


def moment(name: str, value: object) -> datetime | None:
    """A time, as precise as MongoDB keeps it.

    Raises:
        InvalidTypeError: It is no datetime.
        InvalidInputError: It has no time zone.
    """
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidTypeError(f"{name} must be a datetime, not {type(value).__name__}.")
    if value.tzinfo is None:
        raise InvalidInputError(f"{name}={value} has no time zone; use for example datetime.now(timezone.utc).")
    return at_millisecond(value.astimezone(UTC))


def at_millisecond(value: datetime) -> datetime:
    """The time without what MongoDB would cut off."""
    return value.replace(microsecond=value.microsecond // 1000 * 1000)
