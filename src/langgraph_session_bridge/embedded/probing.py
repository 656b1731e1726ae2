"""Whether a server binary runs here: it is asked for its version, and its refusal is put into words."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from langgraph_session_bridge.embedded.advice import missing_library

PROBE_TIMEOUT_S = 20.0
"""Bound of one `--version`; generous, as the first read of 140 MB from a cold disk is slow."""

_VERSION = re.compile(r"\bv=?(\d+)\.(\d+)\.(\d+)")
_MISSING_LIBRARY = (
    re.compile(r"error while loading shared libraries: ([^:\s]+)"),
    re.compile(r"Error loading shared library ([^:\s]+)"),
    re.compile(r"Library not loaded: (?:\S*/)?([^/\s]+)"),
)


class UnusableBinaryError(Exception):
    """A candidate cannot be used; the message is the reason. Never leaves this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A server binary that runs on this machine."""

    path: Path
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))


def probe(path: Path, *, oldest: tuple[int, int]) -> Binary:
    """Run `<path> --version` and return the binary.

    Raises:
        UnusableBinaryError: It is absent, does not run here, or is older than `oldest`.
    """
    if not path.is_file():
        raise UnusableBinaryError("there is no such file")
    if not os.access(path, os.X_OK):
        raise UnusableBinaryError(f"the file is not executable (`chmod +x {path}`)")
    stat = path.stat()
    version = _ask_version(path, stat.st_mtime_ns, stat.st_size)
    if version[:2] < oldest:
        found, wanted = ".".join(map(str, version)), ".".join(map(str, oldest))
        raise UnusableBinaryError(f"version {found} is too old, {wanted} is the oldest supported")
    return Binary(path=path, version=version)


@lru_cache(maxsize=32)
def _ask_version(path: Path, _mtime_ns: int, _size: int) -> tuple[int, int, int]:
    """Ask once per content of the file: its time and size are part of the cache key."""
    code, output = _run_version(path)
    match = _VERSION.search(output)
    if code != 0 or match is None:
        raise UnusableBinaryError(_refusal(code, output))
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)


def _run_version(path: Path) -> tuple[int, str]:
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROBE_TIMEOUT_S,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError as error:
        # The file exists: it is the program loader named in its header that does not.
        raise UnusableBinaryError("its program loader is missing (built for glibc, run on musl?)") from error
    except subprocess.TimeoutExpired as error:
        raise UnusableBinaryError(f"`--version` did not end within {PROBE_TIMEOUT_S:g} s") from error
    except OSError as error:
        raise UnusableBinaryError(f"it cannot be run: {error.strerror}") from error
    return done.returncode, done.stdout.decode(errors="replace")


def _refusal(code: int, output: str) -> str:
    for pattern in _MISSING_LIBRARY:
        if match := pattern.search(output):
            return missing_library(match[1])
    said = " ".join(output.split())[:300] or "nothing"
    return f"`--version` ended with code {code} and printed: {said}"
