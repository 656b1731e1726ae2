"""Another process: reads a session's newest tool execution when it is told of one, until that is there."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from langgraph_session_bridge import SessionBridge


async def main(mongodb_uri: str, redis_url: str, settings: dict[str, Any]) -> None:
    """A line says which record to look for; the answer says when it was read, by the clock of the machine."""
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    looking: set[asyncio.Task[None]] = set()
    async with SessionBridge.from_conn_string(mongodb_uri, redis_url, **settings) as bridge:

        async def look(session: str, record_id: str) -> None:
            while True:
                found = await bridge.records.tool_executions(session, limit=1)
                if found and found[0].id == record_id:
                    break
            print(json.dumps([session, record_id, time.monotonic_ns()]), flush=True)

        print(json.dumps("ready"), flush=True)
        while line := await lines.readline():
            task = loop.create_task(look(*json.loads(line)))
            looking.add(task)
            task.add_done_callback(looking.discard)


if __name__ == "__main__":
    asyncio.run(main(*json.loads(sys.argv[1])))
