"""What a command left, and how one is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Its output as one JSON object."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Call = Callable[..., Outcome]
Run = Callable[..., Outcome]
