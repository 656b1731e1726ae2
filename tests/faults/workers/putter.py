"""Puts steps of several threads, one writer each, and prints a line for each acknowledged put.

Arguments: addresses, settings, threads, first step, steps (-1: until killed), and what is broken in it (see
`faults.broken`), if anything. Stays until its input ends.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import threading

from faults.broken import BREAKS
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
    mongodb_uri, redis_url, settings, threads, start, steps, *broken = json.loads(sys.argv[1])
    with contextlib.ExitStack() as stack:
        for name in broken:
            stack.enter_context(BREAKS[name]())
        saver = stack.enter_context(SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings))
        writers = [threading.Thread(target=write, args=(saver, thread, start, steps)) for thread in threads]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        say(done=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
