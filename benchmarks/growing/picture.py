"""The results as a picture: time of a put, bytes stored and bytes sent over the length of the history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from growing.report import Row, kept

# Okabe and Ito's colours, told apart by colour-blind readers, with a marker each.
LOOKS: dict[str, tuple[str, str]] = {
    "ours cache": ("#0072B2", "o"),
    "ours majority": ("#D55E00", "s"),
    "ours MongoDB only": ("#009E73", "D"),
    "InMemorySaver": ("#7F7F7F", "x"),
    "checkpoint-sqlite": ("#E69F00", "v"),
    "checkpoint-postgres": ("#56B4E9", "<"),
    "checkpoint-redis": ("#000000", "+"),
    "checkpoint-plainredis": ("#8C6D31", "*"),
    "checkpoint-mongodb": ("#CC79A7", "^"),
}
DOTTED: dict[str, Any] = {"color": "#333333", "linestyle": (0, (1, 1.5)), "linewidth": 1.3}
BELOW: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "top", "fontsize": 8}
Value = Callable[[Row], float | None]


def draw(results: dict[str, Any], path: Path) -> None:
    """Draws all panels with one legend into a PNG that is 1,000 pixels wide at half its resolution."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, (times, stored, sent) = plt.subplots(1, 3, figsize=(10, 4.3))
        _panel(times, results, "Time of a put (p50)", "milliseconds", lambda row: row.get("put", {}).get("p50"))
        _panel(stored, results, "Kept for the thread", "megabytes", _megabytes)
        _panel(sent, results, "Sent per step, to all servers", "kilobytes", _kilobytes)
        _own(stored, results, 1e6, "the messages themselves", each=False)
        _own(sent, results, 1e3, "the new message", each=True)
        _floors(times, results)
        handles, labels = times.get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=5, frameon=False, fontsize=8.5)
        figure.tight_layout(rect=(0, 0.12, 1, 1), w_pad=1.5)
        figure.savefig(path, dpi=200)
        plt.close(figure)


def _megabytes(row: Row) -> float | None:
    value = kept(row)
    return None if value is None else value / 1e6


def _kilobytes(row: Row) -> float | None:
    counts = row.get("sent", {}).values()
    return sum(counts) / 1e3 if counts else None


def _panel(axes: Any, results: dict[str, Any], title: str, unit: str, value: Value) -> None:
    for saver in results["savers"]:
        points = [(int(size), value(row)) for size, row in saver["sizes"].items()]
        points = [(size, y) for size, y in points if y]
        color, marker = LOOKS[saver["name"]]
        style = {"linewidth": 2.2, "zorder": 3} if saver["ours"] else {"linewidth": 1.1, "linestyle": "--"}
        x, y = ([size for size, _ in points], [y for _, y in points])
        axes.plot(x, y, color=color, marker=marker, markersize=5, label=saver["name"], **style)
    axes.set_title(title, fontsize=10)
    axes.set_ylabel(unit)
    axes.set_xlabel("messages in the thread")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.grid(visible=True, color="#E5E5E5", linewidth=0.6)


def _own(axes: Any, results: dict[str, Any], unit: float, text: str, *, each: bool) -> None:
    """The least that could be stored or sent, as a dotted line."""
    sizes = [int(size) for size in results["messages"]]
    own = [
        value / unit / (size if each else 1) for size, value in zip(sizes, results["messages"].values(), strict=True)
    ]
    axes.plot(sizes, own, **DOTTED)
    axes.text(0.98, 0.02, f"dotted: {text}", transform=axes.transAxes, ha="right", fontsize=8)
    axes.set_ylim(bottom=min(own) / 2.5)


def _floors(axes: Any, results: dict[str, Any]) -> None:
    for name in ("SET", "insert_one majority"):
        floor = median(floors[name]["p50"] for floors in results["floors"].values())
        axes.axhline(floor, **DOTTED)
        axes.annotate(f"bare {name}", (1, floor), (0, -3), xycoords=("axes fraction", "data"), **BELOW)
