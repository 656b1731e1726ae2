"""Flushes what it finds until it is killed, when told to begin.

Arguments: addresses, settings, and what is broken in it (see `faults.broken`), if anything.
"""

from __future__ import annotations

import contextlib
import json
import sys

from faults.broken import BREAKS

from langgraph_session_bridge import SessionBridgeSaver


def main() -> None:
    mongodb_uri, redis_url, settings, *broken = json.loads(sys.argv[1])
    with contextlib.ExitStack() as stack:
        for name in broken:
            stack.enter_context(BREAKS[name]())
        saver = stack.enter_context(SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings))
        print(json.dumps({"ready": True}), flush=True)
        sys.stdin.readline()
        while True:
            saver.flush()


if __name__ == "__main__":
    main()
