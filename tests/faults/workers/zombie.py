"""Flushes a backlog that it finds, over and over. Arguments: addresses, settings. Prints a line before each flush."""

from __future__ import annotations

import json
import sys

from langgraph_session_bridge import SessionBridgeSaver


def main() -> None:
    mongodb_uri, redis_url, settings = json.loads(sys.argv[1])
    with SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings) as saver:
        while True:
            print(json.dumps({"ready": True}), flush=True)
            if sys.stdin.readline().strip() != "flush":
                return
            print(json.dumps({"flushed": saver.flush()}), flush=True)


if __name__ == "__main__":
    main()
