"""The border between recording and the run: nothing that goes wrong in a hook reaches the run by itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

Hook = TypeVar("Hook", bound=Callable[..., None])


class Bordered(Protocol):
    """Who has hooks, and decides what becomes of their errors."""

    def lost(self, hook: str, error: Exception) -> None:
        """Takes an error, or raises it."""
        ...


def bordered(hook: Hook) -> Hook:
    """A hook whose errors go to `lost`."""

    @functools.wraps(hook)
    def guarded(self: Bordered, *args: Any, **kwargs: Any) -> None:
        try:
            hook(self, *args, **kwargs)
        except Exception as error:  # the run must survive whatever recording it meets
            self.lost(hook.__name__, error)

    return cast("Hook", guarded)
