"""A client process: attaches to the directory given, tells what it got as JSON, then obeys its input.

`detach` leaves and tells whether that stopped the servers; the end of input ends the process without leaving.
"""

from __future__ import annotations

import json
import os
import sys

from langgraph_session_bridge.embedded import attach


def main() -> None:
    """Attach, then read orders."""
    servers = attach(sys.argv[1])
    print(json.dumps([servers.mongodb_uri, servers.redis_url, servers.started]), flush=True)
    for order in sys.stdin:
        if order.strip() == "detach":
            print(json.dumps(servers.detach()), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
