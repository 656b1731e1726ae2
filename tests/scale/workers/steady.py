"""Puts at a steady pace, with a saver and two writing threads for each ack level, a line for each acknowledged put.

Arguments: addresses, settings, ack levels. Puts until it is killed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import threading
import time

from faults.harness import put_step, put_step_writes

from langgraph_session_bridge import SessionBridgeSaver

output = threading.Lock()
PACE_S = 0.05


def say(**line: object) -> None:
    with output:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def write(saver: SessionBridgeSaver, thread: str) -> None:
    for step in itertools.count():
        start = time.monotonic()
        put_step(saver, thread, step)
        say(kind="c", thread=thread, step=step, took=time.monotonic() - start)
        put_step_writes(saver, thread, step)
        say(kind="w", thread=thread, step=step)
        time.sleep(PACE_S)


def main() -> None:
    mongodb_uri, redis_url, settings, levels = json.loads(sys.argv[1])
    with contextlib.ExitStack() as stack:
        writers = []
        for ack in levels:
            saver = SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings, ack=ack)
            stack.enter_context(saver)
            writers += [threading.Thread(target=write, args=(saver, f"{ack}-{n}")) for n in range(2)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()


if __name__ == "__main__":
    main()
