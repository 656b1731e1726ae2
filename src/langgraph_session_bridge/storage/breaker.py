"""A circuit breaker: keeps calls away from a server that did not answer, and lets one at a time try it again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]


class Breaker:
    """Closed while the server answers; open after a failure; half-open while one call tries whether it is back.

    Each failed try doubles the pause before the next, up to a bound.
    """

    def __init__(self, pause_s: float, pause_max_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._first, self._longest = min(pause_s, pause_max_s), pause_max_s
        self._clock = clock
        self._lock = threading.Lock()
        self._state: BreakerState = "closed"
        self._pause = self._first
        self._until = 0.0

    @property
    def state(self) -> BreakerState:
        """Whether calls go to the server (`closed`), past it (`open`), or one of them tries it (`half-open`)."""
        return self._state

    def trip(self) -> None:
        """A call was not answered: nobody asks the server for a while. Once that is so, other failures add nothing."""
        with self._lock:
            if self._state == "closed":
                self._open(self._first)

    def may_try(self, *, at_once: bool = False) -> bool:
        """Whether this call is the one that tries the server again; it must end in `reopen` or `close`.

        Args:
            at_once: Before the pause is over: the call has nowhere else to go.
        """
        with self._lock:
            if self._state != "open" or (self._clock() < self._until and not at_once):
                return False
            self._state = "half-open"
            return True

    def reopen(self) -> None:
        """The call that tried the server was not answered either."""
        with self._lock:
            self._open(min(2 * self._pause, self._longest))

    def _open(self, pause: float) -> None:
        self._state, self._pause, self._until = "open", pause, self._clock() + pause

    def close(self) -> None:
        """The server answers."""
        with self._lock:
            self._state = "closed"
