"""When to condense and how much to keep, in LangChain's words.

`("messages", 100)` is one threshold, `{"tokens": 4000, "messages": 10}` means both, a list means any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langgraph_session_bridge.errors import ConfigurationError

Unit = Literal["messages", "tokens", "fraction", "bytes", "turns"]
Size = tuple[Unit, float]
"""A unit and how many of it: `("tokens", 4000)`, `("fraction", 0.8)` of the model's window."""
Clause = Mapping[Unit, float]
"""Thresholds that must all be reached."""
Trigger = Size | Clause | Sequence[Size | Clause]

UNITS: tuple[Unit, ...] = ("messages", "tokens", "fraction", "bytes", "turns")
DEFAULT_KEEP: Size = ("messages", 50)


@dataclass(frozen=True, slots=True)
class Goal:
    """When to condense, and down to what.

    Attributes:
        clauses: Thresholds, with `fraction` resolved to tokens: all of one clause, any of them.
        unit: What `limit` counts.
        limit: How much stays.
    """

    clauses: tuple[Mapping[Unit, float], ...]
    unit: Unit
    limit: int

    def fired(self, total: Callable[[Unit], float]) -> str | None:
        """The clause that is reached, in words, if one is."""
        for clause in self.clauses:
            if all(total(unit) >= threshold for unit, threshold in clause.items()):
                return " and ".join(f"{threshold:g} {unit}" for unit, threshold in clause.items())
        return None

    @property
    def ceiling(self) -> float:
        """The lowest threshold in the goal's own unit; infinite if none counts it alone."""
        alone = (clause[self.unit] for clause in self.clauses if set(clause) == {self.unit})
        return min(alone, default=float("inf"))


def goal_of(trigger: Trigger | None, keep: Size | None, max_input_tokens: int | None) -> Goal:
    """Resolves what was asked for.

    Without a trigger it is twice what is kept; without `keep`, half of the trigger is kept.

    Raises:
        ConfigurationError: A unit is unknown, a number out of range, or nothing would ever be removed.
    """
    if trigger is None:
        unit, number = keep or DEFAULT_KEEP
        clauses = _clauses((unit, min(number * 2, 1) if unit == "fraction" else number * 2))
    else:
        clauses = _clauses(trigger)
    if keep is None:
        keep = DEFAULT_KEEP if trigger is None else _half(clauses[0])
    unit, number = _checked("keep", *keep)
    resolved = tuple(_resolved(clause, max_input_tokens) for clause in clauses)
    (unit, number), *_ = _resolved({unit: number}, max_input_tokens).items()
    goal = Goal(resolved, unit, int(number))
    if goal.limit >= goal.ceiling:
        message = (
            f"keep={goal.limit} {unit} is not less than the trigger at {goal.ceiling:g} {unit}: "
            f"nothing would be gained. Keep less (half is a good start), so that the next time is not the next message."
        )
        raise ConfigurationError(message)
    return goal


def _clauses(trigger: Any) -> list[dict[Unit, float]]:
    if isinstance(trigger, tuple) and len(trigger) == 2 and isinstance(trigger[0], str):
        unit, number = _checked("trigger", *trigger)
        return [{unit: number}]
    if isinstance(trigger, Mapping):
        if not trigger:
            raise ConfigurationError(f"An empty trigger clause; name at least one of {', '.join(UNITS)}.")
        return [dict(_checked("trigger", unit, number) for unit, number in trigger.items())]
    if isinstance(trigger, list | tuple) and trigger:
        return [clause for item in trigger for clause in _clauses(item)]
    raise ConfigurationError(f"trigger={trigger!r} is neither ('messages', 100), a dictionary of those, nor a list.")


def _checked(name: str, unit: Any, number: Any) -> tuple[Unit, float]:
    if unit not in UNITS:
        raise ConfigurationError(f"{name} counts {unit!r}; use one of {', '.join(UNITS)}.")
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ConfigurationError(f"{name} of {number!r} {unit} is not a number.")
    if unit == "fraction" and not 0 < number <= 1:
        raise ConfigurationError(f"{name} of {number} is no fraction; it lies above 0, and at most at 1.")
    if unit != "fraction" and (number < 1 or number != int(number)):
        raise ConfigurationError(f"{name} of {number} {unit} is not a whole number of at least 1.")
    return unit, number


def _half(clause: Mapping[Unit, float]) -> Size:
    unit, number = next(iter(clause.items()))
    return unit, number / 2 if unit == "fraction" else max(1, int(number) // 2)


def _resolved(clause: Mapping[Unit, float], window: int | None) -> dict[Unit, float]:
    out: dict[Unit, float] = {}
    for unit, number in clause.items():
        if unit != "fraction":
            out[unit] = number
        elif window is None:
            message = (
                "A fraction of what? Give `max_input_tokens`, or a model with `profile['max_input_tokens']`, "
                "or count tokens."
            )
            raise ConfigurationError(message)
        else:
            tokens = max(1, int(window * number))
            out["tokens"] = max(tokens, out["tokens"]) if "tokens" in out else tokens
    return out
