"""MongoDB driver errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import errors as mongo_errors

from langgraph_session_bridge.errors import ConfigurationError, SessionBridgeError, UnavailableError

_UNAUTHORIZED = frozenset({13, 18})


@contextmanager
def explained() -> Iterator[None]:
    """Turns driver errors into ours, with what to do next."""
    try:
        yield
    except mongo_errors.OperationFailure as error:
        if error.code in _UNAUTHORIZED:
            message = (
                f"MongoDB refused the operation: {error.details or error}. Check the account's rights and password."
            )
            raise ConfigurationError(message) from error
        if error.timeout or error.has_error_label("RetryableWriteError"):
            raise UnavailableError(f"MongoDB did not confirm in time: {error}.") from error
        raise SessionBridgeError(f"MongoDB refused the operation: {error}.") from error
    except mongo_errors.PyMongoError as error:
        if isinstance(error, mongo_errors.ConnectionFailure) or error.timeout:
            raise UnavailableError(f"MongoDB did not answer ({type(error).__name__}: {error}).") from error
        raise SessionBridgeError(f"MongoDB failed: {type(error).__name__}: {error}.") from error
