"""Puts checkpoints of session `s`, one after the other, and prints a line for each acknowledged put; ends when refused.

Arguments: addresses, settings, and how long the lease lasts that it takes (0: it takes none).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from langgraph.checkpoint.base import empty_checkpoint

from langgraph_session_bridge import SessionBridge, SessionBridgeError


def say(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    mongodb_uri, redis_url, settings, ttl_s = json.loads(sys.argv[1])
    with SessionBridge.from_conn_string(mongodb_uri, redis_url, **settings) as bridge:
        lease = bridge.sessions.lease("s", owner="slow", ttl_s=ttl_s).result() if ttl_s else None
        config: Any = bridge.config("s", lease=lease, checkpoint_ns="")
        for number in range(1_000_000):
            made: Any = empty_checkpoint() | {"channel_values": {"who": "slow", "n": number}}
            try:
                bridge.saver.put(config, made, {"source": "loop", "step": number, "parents": {}}, {"n": "1"})
            except SessionBridgeError as error:
                say(refused=type(error).__name__)
                break
            say(put=made["id"])
        sys.stdin.read()


main()
