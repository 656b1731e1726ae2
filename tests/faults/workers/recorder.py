"""Records tool calls in several threads at once, as an agent's hooks do; says each facet that was acknowledged."""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from typing import Any

from langgraph_session_bridge import SessionBridgeError, SessionBridgeSaver
from langgraph_session_bridge.records.outbox import Outbox
from langgraph_session_bridge.storage.facets import Facet

mongodb_uri, redis_url, settings, threads, level = json.loads(sys.argv[1])
saying = threading.Lock()


def facets_of(call: str) -> dict[str, Facet]:
    def facet(name: str, rank: int, **value: Any) -> Facet:
        return Facet(kind="tool", id=call, name=name, rank=rank, value=value)

    return {"start": facet("start", 1, tool_name=call), "end": facet("end", 5 << 44, status="success")}


def record(outbox: Outbox, thread: str) -> None:
    for number in itertools.count():
        for name, facet in facets_of(f"{number:06}").items():
            while True:
                try:
                    outbox.add(thread, [facet], level=level).wait(60)
                    break
                except SessionBridgeError:
                    time.sleep(0.01)  # not acknowledged; recording it again is harmless
            with saying:
                print(json.dumps({"t": thread, "i": facet.id, "f": name}), flush=True)


saver = SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings)
box = Outbox(saver._runtime)
recording = [threading.Thread(target=record, args=(box, name)) for name in threads]
for thread in recording:
    thread.start()
for thread in recording:  # an interpreter that waits for threads at its end opens no connections any more
    thread.join()
