"""What condensers break: random tool-using chats, the same budget for all, every rule checked by independent code.

Chats have a system message, 3-14 turns with 0-3 steps of 1-4 parallel calls whose results come back shuffled,
sometimes a turn in flight, sometimes a pinned message. With `--odd` some turns have interleaved calls, doubled results,
abandoned calls, greetings, two questions in a row, or a summary of an earlier condensation. Summaries are written by a
function that takes no time. Numbers: chats in which a rule is broken, out of those that the condenser changed. `over`
counts all chats that end above the budget, and `pins fit` those of them where all that must stay, and a summary, would
fit. Milliseconds are CPU time of calls that changed something, update of the list included, taken by turns.

    python benchmarks/condensers.py                          # ours on 10,000 chats, everyone on 1,000: two minutes
    python benchmarks/condensers.py --chats 300 --peers 300 --odd 0.25
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import statistics
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

from condensing.checks import CHECKS, Messages, must_stay
from condensing.contestants import Contestant, ours, peers, versions
from langchain_core.messages.utils import count_tokens_approximately

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the chats of the property tests
from condense.chats import built, shape_of

WIDTH = 46


class Score:
    """What one condenser did."""

    def __init__(self) -> None:
        self.fired = 0
        self.broken: Counter[str] = Counter()
        self.ms: list[float] = []

    def take(self, contestant: Contestant, before: Messages, budget: int, fits: bool) -> None:
        """Runs it on a chat and checks the result."""
        began = time.thread_time()
        after = contestant.run(list(before))
        took = time.thread_time() - began
        if count_tokens_approximately(after) > budget:
            self.broken["over"] += 1
            self.broken["over, pins fit"] += fits
        if _same(before, after):
            return
        self.fired += 1
        self.ms.append(took * 1000)
        self.broken.update(name for name, check in CHECKS.items() if check(before, after))
        self.broken["2nd pass"] += not _same(after, contestant.run(list(after)))


def _same(one: Messages, other: Messages) -> bool:
    return len(one) == len(other) and all(
        a is b or (a.type, a.content, getattr(a, "tool_calls", ())) == (b.type, b.content, getattr(b, "tool_calls", ()))
        for a, b in zip(one, other, strict=True)
    )


def measure(contestants: list[Contestant], chats: range, asked: argparse.Namespace) -> dict[str, Score]:
    """Everyone on the same chats, by turns."""
    scores: dict[str, Score] = defaultdict(Score)
    for seed in chats:
        messages = built(shape_of(Random(seed), odd=asked.odd, pinned=asked.pinned))
        pins = must_stay(messages)
        fits = count_tokens_approximately([m for m in messages if str(m.id) in pins]) + 48 <= asked.budget
        for place in range(len(contestants)):
            contestant = contestants[(place + seed) % len(contestants)]
            scores[contestant.name].take(contestant, messages, asked.budget, fits)
    return scores


def show(title: str, contestants: list[Contestant], scores: dict[str, Score]) -> None:
    """A table."""
    columns = [*CHECKS, "over", "over, pins fit", "2nd pass"]
    print(
        f"\n{title}\n{'':{WIDTH}} {'fired':>6} "
        + " ".join(f"{name:>{len(name)}}" for name in columns)
        + "  p50 ms  p95 ms"
    )
    for contestant in contestants:
        score = scores[contestant.name]
        name = f"{contestant.name} ({contestant.package or 'ours'})"
        cells = [f"{score.broken[column] or '-':>{len(column)}}" for column in columns]
        ms = sorted(score.ms) or [0.0]
        times = f"{statistics.median(ms):7.2f} {ms[int(len(ms) * 0.95)]:7.2f}"
        print(f"{name:{WIDTH}} {score.fired:>6} " + " ".join(cells) + f" {times}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chats", type=int, default=10_000, help="chats for ours alone")
    parser.add_argument("--peers", type=int, default=1000, help="chats for everyone")
    parser.add_argument("--budget", type=int, default=400, help="tokens at which to condense; half of it is kept")
    parser.add_argument("--odd", type=float, default=0.0, help="share of turns with something odd, for everyone")
    parser.add_argument("--pinned", type=float, default=0.05, help="share of turns with a pinned message")
    parser.add_argument("--seed", type=int, default=0, help="number of the first chat")
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    mine, (others, left_out) = ours(asked.budget), peers(asked.budget)
    print(f"{os.cpu_count()} CPUs (load {os.getloadavg()[0]:.1f}), Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    for name, why in left_out.items():
        print(f"left out: {name} ({why})")
    everyone = [*others, *mine]
    title = f"{asked.peers:,} chats, {asked.budget} tokens, odd turns {asked.odd:.0%}"
    show(title, everyone, measure(everyone, range(asked.seed, asked.seed + asked.peers), asked))
    asked.odd = asked.odd or 0.25
    title = f"ours alone, {asked.chats:,} chats, {asked.budget} tokens, odd turns {asked.odd:.0%}"
    show(title, mine, measure(mine, range(asked.seed, asked.seed + asked.chats), asked))


if __name__ == "__main__":
    main()
