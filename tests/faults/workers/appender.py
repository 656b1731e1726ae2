"""Appends to one thread, whoever else does. Arguments: addresses, settings, own name, thread, puts."""

from __future__ import annotations

import json
import sys
import uuid

from contract.build import at, checkpoint, meta

from langgraph_session_bridge import SessionBridgeSaver


def main() -> None:
    mongodb_uri, redis_url, settings, name, thread, puts = json.loads(sys.argv[1])
    with SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings) as saver:
        head = saver.get_tuple(at(thread))
        assert head is not None
        parent, log, versions = head.config, [], dict(head.checkpoint["channel_versions"])
        for step in range(puts):
            log.append(f"{name}-{step}-{'y' * 50}")
            versions = {**versions, "log": f"{step + 2:032}.{name}"}
            values = {**head.checkpoint["channel_values"], "log": list(log)}
            made = checkpoint(values, versions, id=f"{step + 1:08d}-{uuid.uuid4().hex}")
            parent = saver.put(parent, made, meta(step=step, owner=name), {"log": versions["log"]})
            other = saver.get_tuple(at(thread))
            assert other is not None
            print(json.dumps({"put": step}), flush=True)
        print(json.dumps({"done": True}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
