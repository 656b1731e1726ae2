"""What the fault tests counted, row by row of the fault table; printed when they are done."""

from __future__ import annotations

from collections import Counter

ROWS: dict[str, Counter[str]] = {}
MEASURED: dict[str, Counter[str]] = {}


def count(row: str, **numbers: int) -> None:
    """Adds one round to a row."""
    ROWS.setdefault(row, Counter()).update({"rounds": 1, **numbers})


def measure(row: str, **numbers: float) -> None:
    """Adds to a row what is told as a mean over its rounds."""
    MEASURED.setdefault(row, Counter()).update(numbers)  # type: ignore[arg-type]


def packed() -> list[dict[str, dict[str, float]]]:
    """What one process of several counted, for another."""
    return [{row: dict(numbers) for row, numbers in table.items()} for table in (ROWS, MEASURED)]


def add(tables: list[dict[str, dict[str, float]]]) -> None:
    """Adds what another process counted."""
    for mine, theirs in zip((ROWS, MEASURED), tables, strict=True):
        for row, numbers in theirs.items():
            mine.setdefault(row, Counter()).update(numbers)  # type: ignore[arg-type]


def lines() -> list[str]:
    width = max(map(len, ROWS), default=0)
    return [f"{row:{width}}  {', '.join(told(row))}" for row in ROWS]


def told(row: str) -> list[str]:
    counted = [f"{number:,} {what}" for what, number in ROWS[row].items()]
    means = [f"mean {what} {n / ROWS[row]['rounds']:,.0f}" for what, n in MEASURED.get(row, {}).items()]
    return counted + means
