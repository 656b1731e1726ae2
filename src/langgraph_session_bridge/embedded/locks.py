"""Locks between processes: `flock`, which belongs to an open file and not to a process.

So two attachments of one process count as two, a killed process lets go by dying, and a forked child shares
what its parent holds until both have closed it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.005


def open_lock_file(path: Path) -> int:
    """Open a file to lock, creating it, readable by this user only; returns its descriptor."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file without waiting; `False` when somebody else's lock forbids it."""
    import fcntl  # absent on Windows, where importing this package must still work

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_until(descriptor: int, deadline: float, *, shared: bool = False) -> bool:
    """Lock an open file, waiting until `deadline` (of `time.monotonic`); `False` when that passed."""
    while not try_lock(descriptor, shared=shared):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def unlock(descriptor: int) -> None:
    """Unlock and close, also for forked children that inherited the open file."""
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


@contextmanager
def exclusively(path: Path, deadline: float) -> Iterator[None]:
    """Hold the exclusive lock of a file.

    Raises:
        TimeoutError: Another process held it until `deadline`.
    """
    descriptor = open_lock_file(path)
    try:
        if not lock_until(descriptor, deadline):
            raise TimeoutError(f"{path} stayed locked by another process")
        yield
    finally:
        unlock(descriptor)


def is_held(path: Path) -> bool:
    """Whether anybody holds a lock on the file; asks by taking it, so only one process may ask at a time."""
    descriptor = open_lock_file(path)
    try:
        return not try_lock(descriptor)
    finally:
        unlock(descriptor)


def count_shared(path: Path) -> int | None:
    """How many open files hold a shared lock on this one; `None` where the kernel does not tell."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    locks = (line.split() for line in lines if " FLOCK " in line and " READ " in line)
    return sum(words[5].rpartition(":")[2] == str(inode) for words in locks)


class SharedHold:
    """A shared lock, held from construction to the first `release`.

    A forked child has a copy of it: the lock lasts until parent and child have each released theirs or ended.
    """

    __slots__ = ("_descriptor", "_mutex")

    def __init__(self, path: Path, deadline: float) -> None:
        """Take the lock.

        Raises:
            TimeoutError: An exclusive lock forbade it until `deadline`.
        """
        self._mutex = threading.Lock()
        self._descriptor: int | None = open_lock_file(path)
        if not lock_until(self._descriptor, deadline, shared=True):
            self.release()
            raise TimeoutError(f"{path} stayed locked by another process")

    def release(self) -> bool:
        """Let go; `True` for the call that did, `False` for all later ones."""
        with self._mutex:
            descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return False
        # Closing and not unlocking: unlocking would also take it from a forked child.
        os.close(descriptor)
        return True
