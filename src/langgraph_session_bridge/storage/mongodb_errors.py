"""MongoDB driver errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import errors as mongo_errors

from langgraph_session_bridge.errors import ConfigurationError, RefusedError, SessionBridgeError, UnavailableError

_PERMANENT = frozenset({2, 9, 14, 22, 52, 56, 57, 66, 121, 10334, 17280, 17419, 17420})
"""Codes of documents that are invalid, too large, or not what the collection's validator wants."""
_UNAUTHORIZED = frozenset({13, 18})
_COMMAND = re.compile(r" \{ (\w+): (\"[^\"]*\"|[\w.]+).*", re.DOTALL)
"""How a refusal quotes the command: its name and collection, then all of its content."""


@contextmanager
def explained() -> Iterator[None]:
    """Turns driver errors into ours, with what to do next."""
    try:
        yield
    except mongo_errors.OperationFailure as error:
        if _codes(error) & _PERMANENT:
            raise RefusedError(f"MongoDB refuses a document for good: {_reason(error)}.") from error
        if error.code in _UNAUTHORIZED:
            raise ConfigurationError(
                f"MongoDB refused the operation: {_refusal(error)} (code {error.code}). Check the account's password "
                "and rights; docs/operations.md says which it needs."
            ) from error
        if error.timeout or error.has_error_label("RetryableWriteError"):
            raise UnavailableError(f"MongoDB did not confirm in time: {error}.") from error
        raise SessionBridgeError(f"MongoDB refused the operation: {error}.") from error
    except mongo_errors.PyMongoError as error:
        if isinstance(error, mongo_errors.ConnectionFailure) or error.timeout:
            raise UnavailableError(f"MongoDB did not answer ({type(error).__name__}: {error}).") from error
        raise SessionBridgeError(f"MongoDB failed: {type(error).__name__}: {error}.") from error


def _refusal(error: mongo_errors.OperationFailure) -> str:
    """What the account may not do, without the content of the command."""
    said = str((error.details or {}).get("errmsg") or error)
    return _COMMAND.sub(lambda found: f" {found[1]} on {found[2]}", said)


def _codes(error: mongo_errors.OperationFailure) -> set[int | None]:
    return {error.code, *(failure.get("code") for failure in _write_errors(error))}


def _reason(error: mongo_errors.OperationFailure) -> str:
    """What MongoDB says, without the document."""
    return "; ".join(f"{f.get('errmsg')} (code {f.get('code')})" for f in _write_errors(error)) or str(error)


def _write_errors(error: mongo_errors.OperationFailure) -> list[dict[str, Any]]:
    return list((error.details or {}).get("writeErrors", []))
