"""Server logs: kept over runs, moved aside when large, quoted when a server fails."""

from __future__ import annotations

import os
from pathlib import Path

_ROTATE_BYTES = 16 * 1024 * 1024
_TAIL_BYTES = 64 * 1024
_TAIL_LINES = 8
_LINE_CHARS = 600
_SEVERE = ('"s":"E"', '"s":"F"')
"""How mongod marks errors, which are followed by a long tail of ordinary shutdown lines."""

_STACK_FRAME = '"msg":"Frame"'


def open_chapter(log: Path) -> int:
    """Prepare a log for a start; returns the offset at which the lines of that start will begin."""
    if log.exists() and log.stat().st_size >= _ROTATE_BYTES:
        os.replace(log, log.with_suffix(".log.1"))
    log.touch(mode=0o600)
    return log.stat().st_size


def chapter(log: Path, offset: int) -> str:
    """What was logged from the offset on, its end if it is long."""
    try:
        with log.open("rb") as lines:
            size = lines.seek(0, os.SEEK_END)
            lines.seek(max(offset, size - _TAIL_BYTES))
            return lines.read().decode(errors="replace")
    except OSError:
        return ""


def quote(text: str) -> str:
    """The lines of a log that an error should show: the first severe ones and the last ones."""
    lines = [line[:_LINE_CHARS] for line in text.splitlines() if line.strip() and _STACK_FRAME not in line]
    last = lines[-_TAIL_LINES:]
    severe = [line for line in lines[:-_TAIL_LINES] if any(mark in line for mark in _SEVERE)]
    return "\n".join(severe[:_TAIL_LINES] + last) or "(its log is empty)"
