"""How long it takes until another process can read what was recorded here."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from levels.lab import Lab
from levels.samples import Samples

from langgraph_session_bridge import SessionBridge

WARM_UP = 3


class Watcher:
    """The other process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Talks to it by its pipes."""
        self._process = process
        self._asked: dict[str, asyncio.Future[int]] = {}

    async def listen(self) -> None:
        """Takes its answers."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            _, record_id, at = json.loads(line)
            self._asked.pop(record_id).set_result(at)

    async def ready(self) -> None:
        """It has connected."""
        assert self._process.stdout is not None
        assert json.loads(await self._process.stdout.readline()) == "ready"

    async def seen(self, session: str, record_id: str) -> int:
        """When it has read a record, in nanoseconds of the clock that all processes share."""
        assert self._process.stdin is not None
        self._asked[record_id] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps([session, record_id]).encode() + b"\n")
        return await self._asked[record_id]


@asynccontextmanager
async def watcher(lab: Lab, name: str) -> AsyncIterator[Watcher]:
    """Starts one on the store of this name, and ends it."""
    settings = {"database": name, "prefix": name}
    asked = json.dumps([lab.servers.mongodb_uri, lab.servers.redis_url, settings])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("watcher.py")),
        asked,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    watching = Watcher(process)
    await watching.ready()
    listening = asyncio.create_task(watching.listen())
    try:
        yield watching
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening


async def measure(lab: Lab, sessions: int, updates: int, rate: float) -> Samples:
    """Each session records, waits until it was seen, and rests, so that all together record at about this rate."""
    pause_s = sessions / rate
    name = f"bench_{uuid.uuid4().hex[:8]}"
    settings: dict[str, Any] = {"database": name, "prefix": name}
    samples = Samples()
    address = (lab.servers.mongodb_uri, lab.servers.redis_url)
    async with SessionBridge.from_conn_string(*address, **settings) as bridge, watcher(lab, name) as other:

        async def session(number: int) -> None:
            mine = f"s{number}"
            await asyncio.sleep(random.random() * 2 * pause_s)
            for count in range(WARM_UP + updates // sessions):
                record_id = uuid.uuid4().hex
                bridge.records.record_tool_execution(mine, "work", arguments={"n": count}, record_id=record_id)
                began = time.monotonic_ns()
                at = await other.seen(mine, record_id)
                if count >= WARM_UP:
                    samples.times.append((at - began) / 1e6)
                await asyncio.sleep(random.random() * 2 * pause_s)

        began = time.perf_counter()
        await asyncio.gather(*map(session, range(sessions)))
        samples.seconds, samples.calls = time.perf_counter() - began, len(samples.times)
    return samples
