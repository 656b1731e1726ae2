"""MongoDB driver errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo import errors as mongo_errors

from langgraph_session_bridge.errors import ConfigurationError, RefusedError, SessionBridgeError, UnavailableError

_PERMANENT = frozenset({2, 9, 14, 15, 22, 52, 56, 57, 66, 121, 10334, 17280, 17419, 17420})
"""Codes of documents that are invalid, too large, too deep, or not what the collection's validator wants."""
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
            raise RefusedError(f"MongoDB refuses a document for good: {_said(error)}.") from error
        if error.code in _UNAUTHORIZED:
            message = (
                f"MongoDB refused the operation: {_said(error)}. Check the account's password and rights; "
                "docs/operations.md says which it needs."
            )
            raise ConfigurationError(message) from error
        if error.timeout or error.has_error_label("RetryableWriteError"):
            raise UnavailableError(f"MongoDB did not confirm in time: {_said(error)}.") from error
        raise SessionBridgeError(f"MongoDB refused the operation: {_said(error)}.") from error
    except mongo_errors.PyMongoError as error:
        if isinstance(error, mongo_errors.ConnectionFailure) or error.timeout:
            raise UnavailableError(f"MongoDB did not answer ({type(error).__name__}: {error}).") from error
        raise SessionBridgeError(f"MongoDB failed: {type(error).__name__}: {error}.") from error


def _codes(error: mongo_errors.OperationFailure) -> set[int | None]:
    return {error.code, *(failure.get("code") for failure in _write_errors(error))}


def _said(error: mongo_errors.OperationFailure) -> str:
    """What MongoDB says. The driver's own message goes on with the details, which quote the documents concerned."""
    details: Mapping[str, Any] = error.details or {}
    failures = [details, *_write_errors(error), *details.get("writeConcernErrors", [])]
    said = [f"{_without_content(f['errmsg'])} (code {f.get('code')})" for f in failures if f.get("errmsg")]
    return "; ".join(dict.fromkeys(said)) or f"{type(error).__name__} (code {error.code})"


def _without_content(said: str) -> str:
    return _COMMAND.sub(lambda quoted: f" {quoted[1]} on {quoted[2]}", said)


def _write_errors(error: mongo_errors.OperationFailure) -> list[dict[str, Any]]:
    return list((error.details or {}).get("writeErrors", []))
