"""What an application says of a session, checked as a whole before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from langgraph_session_bridge.errors import InvalidInputError, InvalidTypeError
from langgraph_session_bridge.moments import moment
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.models import Fields, SessionConfig

_LONGEST_S = 100 * 366 * 24 * 3600.0


def fields_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a session, ready to be stored.

    Raises:
        InvalidInputError: There is no such field, or a value cannot be used.
        InvalidTypeError: A value has the wrong type.
        ValueTooLargeError: The metadata is too large.
    """
    unknown = sorted(set(given) - set(Fields.__annotations__))
    if unknown:
        known = ", ".join(Fields.__annotations__)
        raise InvalidInputError(f"A session has no {', '.join(unknown)} that could be set; there are {known}.")
    return {name: _CHECKS[name](name, value) for name, value in given.items()}


def _config(_: str, value: object) -> SessionConfig:
    given = value.model_dump() if isinstance(value, SessionConfig) else value
    try:
        return SessionConfig.model_validate(ids.metadata(given, "config"))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InvalidInputError(f"config cannot be used ({problems}).") from error


def _seconds(name: str, value: object) -> float | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidTypeError(f"{name} must be seconds or a timedelta, not {type(value).__name__}.")
    if not math.isfinite(seconds) or not 0 < seconds <= _LONGEST_S:
        raise InvalidInputError(f"{name}={value} must be over 0 and within 100 years; None is for ever.")
    return float(seconds)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidTypeError(f"{name} must be True or False, not {value!r:.60}.")
    return value


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "user_id": ids.name,
    "title": ids.name,
    "tags": ids.names,
    "metadata": lambda _, value: ids.metadata(value),
    "app_name": ids.name,
    "agent_name": ids.name,
    "channel": ids.name,
    "modes": ids.names,
    "config": _config,
    "idle_ttl_s": _seconds,
    "hard_ttl_s": _seconds,
    "pinned": _flag,
    "scheduled_for": moment,
}
