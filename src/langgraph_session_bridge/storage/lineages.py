"""Which lineages this process may continue without asking anybody: those that it began itself."""

from __future__ import annotations

import threading
from collections import OrderedDict

_MOST = 10_000


class OwnLineages:
    """Ends of the lineages that this process began and alone appends to; used where no journal proves an end."""

    def __init__(self) -> None:
        self._ends: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, lineage: str, start: int, stop: int) -> bool:
        """Takes the first positions of a lineage that nothing was tried with before; any others are refused."""
        return start == 0 and self.extend(lineage, start, stop)

    def extend(self, lineage: str, start: int, stop: int) -> bool:
        """Takes positions of a lineage; false if others may have them. Positions taken once are never given again."""
        with self._lock:
            if self._ends.get(lineage, 0) != start:
                return False
            self._ends[lineage] = stop
            self._ends.move_to_end(lineage)
            while len(self._ends) > _MOST:
                self._ends.popitem(last=False)
            return True
