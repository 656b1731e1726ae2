"""Puts steps of several threads, one writer each, and prints a line for each acknowledged put.

Arguments: addresses, settings, threads, first step, steps (-1: until killed). Stays until its input ends.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading

from faults.harness import put_step, put_step_writes

from langgraph_session_bridge import SessionBridgeSaver

output = threading.Lock()


def say(**line: object) -> None:
    with output:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def write(saver: SessionBridgeSaver, thread: str, start: int, steps: int) -> None:
    for step in itertools.count(start) if steps < 0 else range(start, start + steps):
        put_step(saver, thread, step)
        say(kind="c", thread=thread, step=step)
        put_step_writes(saver, thread, step)
        say(kind="w", thread=thread, step=step)


def main() -> None:
    mongodb_uri, redis_url, settings, threads, start, steps = json.loads(sys.argv[1])
    with SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings) as saver:
        writers = [threading.Thread(target=write, args=(saver, thread, start, steps)) for thread in threads]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        say(done=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
