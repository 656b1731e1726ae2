"""What tool calls cost the servers: commands, round trips and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from levels.lab import Lab
from pymongo import monitoring

from langgraph_session_bridge import SessionBridge
from recording.calling import Caller

_ASIDE = ("info", "hello", "client", "ping", "select")
"""Commands of Redis that are ours, or those of a new connection."""


class Commands(monitoring.CommandListener):
    """Counts the commands of every client that is opened from here on."""

    def __init__(self) -> None:
        """Counts none yet."""
        self.names: Counter[str] = Counter()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """One was sent."""
        self.names[event.command_name] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """It was answered."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """It failed."""


COMMANDS = Commands()


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Commands by name (of Redis: those in scripts as well), and bytes for each call."""

    calls: int
    redis: Mapping[str, int]
    mongo: Mapping[str, int]
    redis_in: float
    redis_out: float
    mongo_in: float
    mongo_out: float

    def told(self, commands: Mapping[str, int]) -> str:
        """The commands that matter."""
        found = sorted(commands.items(), key=lambda item: -item[1])
        return ", ".join(f"{count / self.calls:.2f} {name}" for name, count in found if count / self.calls >= 0.005)


async def measure(lab: Lab, sessions: int, calls: int, *, at_once: bool) -> Costs:
    """Runs calls with the default settings until all is flushed: at once, or one by one in a session each."""
    bridge = SessionBridge(await lab.saver())
    caller = Caller(bridge)
    await caller.burst(1, 1, None)
    before, mongo = await _state(lab), Counter(COMMANDS.names)
    if at_once:
        await caller.burst(sessions, calls, None)
    else:
        for left in reversed(range(calls)):
            await caller.burst(1, 1, None, flush=left == 0)
    after = await _state(lab)
    done = sessions * calls if at_once else calls
    await bridge.aclose()
    change = {name: count - before.get(name, 0) for name, count in after.items()}
    commands = {name.removeprefix("cmdstat_"): count for name, count in change.items() if name.startswith("cmdstat_")}
    return Costs(
        calls=done,
        redis={name: count for name, count in commands.items() if count and not name.startswith(_ASIDE)},
        mongo=Counter(COMMANDS.names) - mongo,
        redis_in=change["redis in"] / done,
        redis_out=change["redis out"] / done,
        mongo_in=change["mongo in"] / done,
        mongo_out=change["mongo out"] / done,
    )


async def _state(lab: Lab) -> dict[str, int]:
    commands = await lab.redis.info("commandstats")
    traffic = await lab.redis.info("stats")
    network = (await lab.mongo["admin"].command("serverStatus"))["network"]
    found = {name: int(row["calls"]) for name, row in commands.items()}
    found |= {"redis in": traffic["total_net_input_bytes"], "redis out": traffic["total_net_output_bytes"]}
    return found | {"mongo in": network["bytesIn"], "mongo out": network["bytesOut"]}
