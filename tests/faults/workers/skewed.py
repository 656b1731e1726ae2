"""Puts and flushes when told, with a clock that is wrong.

Arguments: seconds that its clock is ahead, addresses, settings, and what is broken in it (see `faults.broken`). Reads
a JSON line for each act, and prints one when it is done.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
import time

SHIFT_S = json.loads(sys.argv[1])[0]
_time, _time_ns, _datetime = time.time, time.time_ns, datetime.datetime


class Shifted(_datetime):
    """`datetime.datetime` by the wrong clock."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return _datetime.now(tz) + datetime.timedelta(seconds=SHIFT_S)


def main() -> None:
    # Only what is imported from here on sees the wrong clock, as a process on a host with such a clock would.
    time.time = lambda: _time() + SHIFT_S
    time.time_ns = lambda: _time_ns() + SHIFT_S * 1_000_000_000
    datetime.datetime = Shifted  # type: ignore[misc]
    from contract.build import at
    from faults.broken import BREAKS
    from faults.harness import id_of, put_step

    from langgraph_session_bridge import SessionBridgeSaver

    _, mongodb_uri, redis_url, settings, *broken = json.loads(sys.argv[1])
    with contextlib.ExitStack() as stack:
        for name in broken:
            stack.enter_context(BREAKS[name]())
        saver = stack.enter_context(SessionBridgeSaver.from_conn_string(mongodb_uri, redis_url, **settings))
        print(json.dumps({"clock": time.time()}), flush=True)
        for line in sys.stdin:
            act = json.loads(line)
            if "put" in act:
                put_step(saver, "t", act["put"])
            if "write" in act:
                saver.put_writes(at("t", "", id_of(0)), [("__resume__", act["write"])], "task")
            if "delete" in act:
                saver.delete_thread("t")
            if "flush" in act:
                saver.flush()
            while "back" in act and saver.stats().writing_through:
                saver.get_tuple(at("anything"))
            print(json.dumps({"done": act}), flush=True)


if __name__ == "__main__":
    main()
