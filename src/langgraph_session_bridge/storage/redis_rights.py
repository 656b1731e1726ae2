"""What a Redis account was not allowed to do, in our words."""

from __future__ import annotations

import re

from redis import exceptions as redis_errors

from langgraph_session_bridge.errors import ConfigurationError

_IN_SCRIPT = ("ACL failure in script", "The user executing the script can't")
"""A command inside a script is refused in words of its own: those of Redis 7 and Valkey, those of Redis 6.2."""
_SAID = re.compile(r"[^\"():]*has no permissions to run the '[^']+' command")
"""What the server says, without the script's line or the pipeline's position that surround it."""


def missing_right(error: redis_errors.RedisError) -> ConfigurationError | None:
    """The error to raise if the account's rights are the cause; else nothing."""
    said = str(error)
    if not isinstance(error, redis_errors.NoPermissionError) and not any(words in said for words in _IN_SCRIPT):
        return None
    found = _SAID.search(said)
    reason = (found[0] if found else said).strip()
    return ConfigurationError(
        f"Redis refused the operation: {reason}. Check the account's rights; docs/operations.md says which it needs."
    )
