"""What one operation on a session takes, one after the other, and what it costs the network."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from levels.lab import Lab
from levels.samples import Samples

from registry.places import USERS, Place, described

OPERATIONS = ("create", "get", "resume", "update")
LISTS = ("a user's page of 50", "page of 50 by status", "count of a user's")


@dataclass(slots=True)
class Cost:
    """Times of an operation, and bytes to and from each server for each."""

    samples: Samples = field(default_factory=Samples)
    redis: float = 0.0
    mongo: float = 0.0


async def measure(lab: Lab, place: Place, rounds: int) -> dict[str, Cost]:
    """Every operation `rounds` times, after some that do not count."""
    numbers, sessions = itertools.count(), place.sessions
    paused = iter([await place.paused(n) for n in range(rounds + 5)])

    def some() -> str:
        return place.ids[next(numbers) * 7919 % len(place.ids)]

    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "create": lambda: sessions.create(**described(next(numbers))),
        "get": lambda: sessions.get(some()),
        "resume": lambda: sessions.resume(next(paused)),
        "update": lambda: sessions.update(some(), title=f"Title {next(numbers)}"),
        LISTS[0]: lambda: sessions.list(user_id=f"user-{next(numbers) % USERS}", limit=50),
        LISTS[1]: lambda: sessions.list(status="created", limit=50),
        LISTS[2]: lambda: sessions.count(user_id=f"user-{next(numbers) % USERS}"),
    }
    return {name: await _cost(lab, call, rounds) for name, call in calls.items()}


async def floor(lab: Lab, rounds: int) -> Samples:
    """A bare insert on a majority: what no change of a session in MongoDB can be faster than here."""
    return (await _cost(lab, lambda: lab.bare.insert_one({"x": "y" * 500}), rounds)).samples


async def _cost(lab: Lab, call: Callable[[], Awaitable[Any]], rounds: int) -> Cost:
    for _ in range(5):
        await call()
    cost, asking, before = Cost(), await _network(lab), await _network(lab)
    for _ in range(rounds):
        began = time.perf_counter()
        await call()
        cost.samples.times.append((time.perf_counter() - began) * 1000)
    after = await _network(lab)
    moments = zip(after, before, asking, strict=True)
    cost.redis, cost.mongo = (max(0, now - 2 * then + first) / rounds for now, then, first in moments)
    return cost


async def _network(lab: Lab) -> tuple[int, int]:
    """Bytes in and out of both servers until now; asking for them is among them."""
    redis = await lab.redis.info("stats")
    mongo = (await lab.mongo.admin.command("serverStatus"))["network"]
    own = redis["total_net_input_bytes"] + redis["total_net_output_bytes"]
    return own, mongo["bytesIn"] + mongo["bytesOut"]
