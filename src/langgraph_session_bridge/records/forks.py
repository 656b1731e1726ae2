"""Forked children: a lock that another thread of the parent held just then would stay locked for ever."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forked(Protocol):
    """What has to begin anew in a forked child."""

    def after_fork(self) -> None:
        """Begins anew; called in the child, before anything else happens there."""
        ...


_KNOWN: WeakSet[Forked] = WeakSet()


def begins_anew(forked: Forked) -> None:
    """Has an object begin anew in each child that is forked from now on, for as long as it lives."""
    _KNOWN.add(forked)


def _after_fork() -> None:
    for forked in list(_KNOWN):
        forked.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
