"""How long embedded servers take: cold start of a new directory, restart on data, join, and stop.

Run with `python benchmarks/embedded_start.py [rounds]`. Targets: cold start <= 3 s, join <= 50 ms.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from langgraph_session_bridge.embedded import EmbeddedServers, attach

TARGETS_MS = {"cold start": 3000.0, "join": 50.0, "join, new process": 50.0}
JOINS_PER_ROUND = 20
_JOIN_ONCE = """
import sys, time
from langgraph_session_bridge.embedded import attach
began = time.perf_counter()
servers = attach(sys.argv[1])
print((time.perf_counter() - began) * 1000, servers.started == ())
"""


def timed(samples: list[float], call: Callable[[], EmbeddedServers | bool]) -> EmbeddedServers | bool:
    """Call and add the milliseconds it took."""
    began = time.perf_counter()
    result = call()
    samples.append((time.perf_counter() - began) * 1000)
    return result


def attached(samples: list[float], path: Path) -> EmbeddedServers:
    """Attach, timed."""
    servers = timed(samples, lambda: attach(path))
    assert isinstance(servers, EmbeddedServers)
    return servers


def join_from_new_process(path: Path) -> float:
    """Milliseconds of the first attach of a process, without the start of Python and the import."""
    done = subprocess.run([sys.executable, "-c", _JOIN_ONCE, path], stdout=subprocess.PIPE, text=True, check=True)
    took, joined = done.stdout.split()
    assert joined == "True"
    return float(took)


def measure(rounds: int) -> dict[str, list[float]]:
    """All samples, in milliseconds."""
    samples: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        folder = Path(tempfile.mkdtemp(prefix="lsb", dir="/tmp"))
        try:
            first = attached(samples["cold start"], folder)
            timed(samples["stop"], first.detach)
            again = attached(samples["restart on data"], folder)
            for _ in range(JOINS_PER_ROUND):
                attached(samples["join"], folder).detach()
            samples["join, new process"].append(join_from_new_process(folder))
            timed(samples["stop"], again.detach)
        finally:
            shutil.rmtree(folder)
    return samples


def main() -> None:
    """Measure and print a table."""
    samples = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    print(f"{'':18} {'n':>4} {'p50 ms':>9} {'max ms':>9} {'target':>8}")
    for name, taken in samples.items():
        target = TARGETS_MS.get(name)
        verdict = "" if target is None else f"{target:8.0f} {'met' if max(taken) <= target else 'MISSED'}"
        print(f"{name:18} {len(taken):4} {statistics.median(taken):9.1f} {max(taken):9.1f} {verdict}")


if __name__ == "__main__":
    main()
