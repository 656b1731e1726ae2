"""Talks in several sessions at once, condensing again and again, and says each turn that was acknowledged.

A session is named `<way> <durability>`. Ways: `node`, `summaries`, `guard`. With `later` as the last argument the
archive is broken on purpose: it stores what goes one condensation too late, so that the state is trimmed first.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from itertools import count
from typing import Any

from condense.scripted import ScriptedModel
from promises.condense.dialogues import START_MESSAGES, built, said, thread

from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.record_archive import RecordArchive
from langgraph_session_bridge.condense.summarizing import Summarizing

mongodb_uri, redis_url, settings, sessions, *broken = json.loads(sys.argv[1])
saying = threading.Lock()


def say(**told: Any) -> None:
    with saying:
        print(json.dumps(told), flush=True)


class Told:
    """An archive that tells when it has something, and then waits a moment: nothing is trimmed yet."""

    def __init__(self, archive: RecordArchive) -> None:
        self.archive = archive

    async def keep(self, *what: Any) -> None:
        await self.archive.keep(*what)
        self.tell(what)

    def keep_blocking(self, *what: Any) -> None:
        self.archive.keep_blocking(*what)
        self.tell(what)

    def tell(self, what: Any) -> None:
        say(session=what[0], archived=what[2].id)
        time.sleep(random.random() * 0.02)


class Later(Told):
    """One that stores what goes with the next condensation."""

    due: tuple[Any, ...] | None = None

    async def keep(self, *what: Any) -> None:
        if self.due is not None:
            await self.archive.keep(*self.due)
        self.due = what
        self.tell(what)

    def keep_blocking(self, *what: Any) -> None:
        if self.due is not None:
            self.archive.keep_blocking(*self.due)
        self.due = what
        self.tell(what)


def talk(session: str) -> None:
    way, durability = session.split()
    with SessionBridge.from_conn_string(mongodb_uri, redis_url, **settings) as bridge:
        archive = (Later if "later" in broken else Told)(bridge.archive)
        strategy = Summarizing(ScriptedModel(replies=["About order 4711."])) if way == "summaries" else None
        condenser = Condenser(strategy, trigger=("messages", 12), keep=("messages", 6), archive=archive)
        if way == "guard":
            bridge.guard(condenser)
        graph = built(bridge.saver, None if way == "guard" else condenser)
        for turn in count():
            given = {"messages": START_MESSAGES if turn == 0 else [said(turn)]}
            graph.invoke(given, thread(session), durability=durability)
            say(session=session, turn=turn)


talking = [threading.Thread(target=talk, args=(session,)) for session in sessions]
for one in talking:
    one.start()
for one in talking:
    one.join()
