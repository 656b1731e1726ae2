"""Puts ten steps that nobody flushes in the background, then waits for a signal under `drain_on_signals`.

Arguments: addresses, settings, how the process waits. Says what its own handler of the signal saw.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading

from faults.harness import run_steps

from langgraph_session_bridge import SessionBridgeSaver, drain_on_signals


def say(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    mongodb_uri, redis_url, settings, waiting = json.loads(sys.argv[1])
    saver = SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings)
    ended = threading.Event()
    if waiting == "own handler":
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with drain_on_signals(saver):
        run_steps(saver, "t", 0, 10)
        say(put=20, unflushed=saver.stats().unflushed_entries)
        if waiting == "event loop":
            asyncio.run(asyncio.sleep(60))
        else:
            ended.wait(60)
    say(handled=ended.is_set(), unflushed=saver.stats().unflushed_entries)


if __name__ == "__main__":
    main()
