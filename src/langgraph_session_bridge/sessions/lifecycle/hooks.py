"""Functions of the application that are called at a point of a session's life, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from langgraph_session_bridge.errors import InvalidInputError

Hook = TypeVar("Hook", bound=Callable[..., Any])


class NamedHooks(Generic[Hook]):
    """Hooks in the order of registration."""

    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}

    def add(self, hook: Hook, name: str | None = None) -> Callable[[], None]:
        """Registers a hook; the function returned takes it off again.

        Raises:
            InvalidInputError: The name is taken, or cannot be a name.
        """
        known = name or getattr(hook, "__name__", type(hook).__name__)
        if not known or known in self._hooks or "." in known or known.startswith("$"):
            raise InvalidInputError(f"A hook cannot be called {known!r}: names are unique, without dots. Pass `name`.")
        self._hooks[known] = hook

        def off() -> None:
            if self._hooks.get(known) is hook:
                del self._hooks[known]

        return off
