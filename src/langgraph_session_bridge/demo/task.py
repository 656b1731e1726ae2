"""What a worker is told to do."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from langgraph.types import Durability


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run, or the rest of it."""

    mongodb_uri: str
    redis_url: str | None
    settings: dict[str, Any]
    thread_id: str
    path: str
    model: str
    durability: Durability
    pace_s: float

    def to_json(self) -> str:
        """One line for a worker's standard input (arguments would show passwords to everybody on the machine)."""
        return json.dumps(asdict(self))
