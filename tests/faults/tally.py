"""What the fault tests counted, row by row of the fault table; printed when they are done."""

from __future__ import annotations

from collections import Counter

ROWS: dict[str, Counter[str]] = {}


def count(row: str, **numbers: int) -> None:
    """Adds one round to a row."""
    ROWS.setdefault(row, Counter()).update({"rounds": 1, **numbers})


def lines() -> list[str]:
    width = max(map(len, ROWS), default=0)
    return [f"{row:{width}}  " + ", ".join(f"{n:,} {what}" for what, n in found.items()) for row, found in ROWS.items()]
