"""Runs the assistant once in peace and once under fire, and compares."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.types import Durability

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.demo.comparing import Ending, differences, ending_of, gaps
from langgraph_session_bridge.demo.lives import Stage, kills_of, play
from langgraph_session_bridge.demo.models import SCRIPTED, open_model
from langgraph_session_bridge.demo.processes import Worker
from langgraph_session_bridge.demo.report import DemoReport, percentile, problems_of_kill
from langgraph_session_bridge.demo.task import Task
from langgraph_session_bridge.demo.tools import workspace_tools
from langgraph_session_bridge.demo.watching import DemoEvent, Tell
from langgraph_session_bridge.demo.workspace import find_workspace, fingerprint
from langgraph_session_bridge.embedded import attach, default_directory, status
from langgraph_session_bridge.errors import InvalidInputError, UnavailableError
from langgraph_session_bridge.settings import Ack, Settings
from langgraph_session_bridge.storage.inspection import ThreadTiers, inspect_thread

_DATABASE, _DATABASE_WITHOUT_REDIS = "lsb_demo", "lsb_demo_mongodb"
_PREFIX = "lsb-demo"
_FLUSH_INTERVAL_S = 1.0
"""Twenty times the default, so that there is something in Redis to see when a worker dies."""
_GUESSED_STEPS = 6
"""How many steps a run of a real model surely has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the demo is to do.

    Attributes:
        path: Directory for the assistant to look at; this project by default.
        kills: How often the worker is killed.
        seed: Chooses where; random by default.
        model: `scripted`, or `provider:name` for a model of LangChain.
        mongodb_uri: Servers of your own; embedded ones by default.
        redis_url: As `mongodb_uri`; without it and with `mongodb_uri`, MongoDB only.
        durability: LangGraph's mode of the runs.
        ack: The saver's acknowledgement level.
        pace_s: How long every tool and every thought takes at least, for those who watch.
    """

    path: str | None = None
    kills: int = 1
    seed: int | None = None
    model: str = SCRIPTED
    mongodb_uri: str | None = None
    redis_url: str | None = None
    durability: Durability = "async"
    ack: Ack = "auto"
    pace_s: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class _Servers:
    mongodb_uri: str
    redis_url: str | None
    text: str


def run_demo(options: DemoOptions, tell: Tell = lambda event: None) -> DemoReport:
    """Runs the demo; leaves nothing behind but, on servers of your own, a database without threads.

    Raises:
        InvalidInputError: The path or the number of kills cannot be used.
        ConfigurationError: The model or the servers cannot be used.
        UnavailableError: A server does not answer.
        DemoError: A worker failed.
    """
    start = time.perf_counter()
    if options.kills < 1:
        raise InvalidInputError(f"--kills is {options.kills}; the demo needs at least one.")
    root = find_workspace(options.path)
    open_model(options.model, workspace_tools(root))
    with ExitStack() as stack:
        demo = _Demo(options, root, stack.enter_context(_servers(options, tell)), tell)
        with demo.saver():
            pass  # what is wrong with addresses and settings shows here, not in a worker
        stack.callback(demo.delete_threads)
        return demo.run(start)


@contextmanager
def _servers(options: DemoOptions, tell: Tell) -> Iterator[_Servers]:
    """Those asked for, else embedded ones that run already, else temporary ones."""
    if options.mongodb_uri:
        text = "MongoDB and Redis of your own" if options.redis_url else "MongoDB of your own, no Redis"
        yield _Servers(mongodb_uri=options.mongodb_uri, redis_url=options.redis_url, text=text)
        return
    if options.redis_url:
        raise InvalidInputError("A Redis address needs a MongoDB address too (--mongodb-uri), to flush to.")
    temporary = None if status().running else Path(tempfile.mkdtemp(prefix="lsb-demo-"))
    try:
        start = time.perf_counter()
        with attach(temporary) as servers:
            took = f"{time.perf_counter() - start:.1f} s"
            where = "temporary" if temporary else str(default_directory())
            text = f"MongoDB and Valkey, embedded ({where})"
            tell(DemoEvent(kind="servers", text=f"{text}: {'started' if servers.started else 'joined'} in {took}"))
            yield _Servers(mongodb_uri=servers.mongodb_uri, redis_url=servers.redis_url, text=text)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


class _Demo:
    """One demo on servers that are there."""

    def __init__(self, options: DemoOptions, root: Path, servers: _Servers, tell: Tell) -> None:
        self.options = options
        self.root = root
        self.servers = servers
        self.tell = tell
        self.seed = secrets.randbelow(10_000) if options.seed is None else options.seed
        self.chance = random.Random(self.seed)
        self.settings: dict[str, Any] = {
            "database": _DATABASE if servers.redis_url else _DATABASE_WITHOUT_REDIS,
            "prefix": f"{_PREFIX}-{hashlib.sha256(servers.mongodb_uri.encode()).hexdigest()[:8]}",
            "ack": options.ack,
            "flush_interval_s": _FLUSH_INTERVAL_S,
        }
        run = secrets.token_hex(4)
        self.reference, self.killed = f"demo-{run}-reference", f"demo-{run}-killed"

    def run(self, start: float) -> DemoReport:
        """Both runs and the comparison."""
        options, before = self.options, fingerprint(self.root)
        scripted = options.model == SCRIPTED
        reference_puts, steps = self._run_reference() if scripted else ([], _GUESSED_STEPS + options.kills)
        lives = play(self._stage(), targets := self._targets(steps))
        kills = kills_of(lives, with_redis=self.servers.redis_url is not None)
        ending, different = self._compare(scripted)
        problems = different + [text for kill in kills for text in problems_of_kill(kill, options.durability)]
        if len(kills) < len(targets):
            problems.append(f"the run was complete before kill number {len(kills) + 1}")
        if different and fingerprint(self.root) != before:
            problems.append(f"files below {self.root} changed meanwhile, so the tools gave other answers: try again")
        puts = reference_puts + [ms for life in lives for ms in life.trace.put_ms]
        return DemoReport(
            ok=not problems,
            problems=problems,
            seed=self.seed,
            path=str(self.root),
            model=options.model,
            durability=options.durability,
            ack=options.ack,
            servers=self.servers.text,
            steps=max(life.trace.last_step for life in lives),
            kills=kills,
            states_equal=not different if scripted else None,
            puts=len(puts),
            put_p50_ms=percentile(puts, 0.5),
            put_p99_ms=percentile(puts, 0.99),
            seconds=time.perf_counter() - start,
            answer=ending.answer,
        )

    def _run_reference(self) -> tuple[list[float], int]:
        """Runs the assistant undisturbed; returns how long its puts took, and how many steps it made."""
        with self._worker(self.reference, pace_s=0.0) as worker:
            for _ in worker.events():
                pass
        steps = worker.trace.last_step
        self.tell(DemoEvent(kind="reference", text=f"for comparison, a run in peace: {steps} super-steps", step=steps))
        return worker.trace.put_ms, steps

    def _targets(self, steps: int) -> list[int]:
        """The steps to be killed in, in order."""
        if self.options.kills > steps:
            message = f"--kills is {self.options.kills}, but the assistant makes only {steps} super-steps here."
            raise InvalidInputError(message)
        return sorted(self.chance.sample(range(1, steps + 1), self.options.kills))

    def _stage(self) -> Stage:
        return Stage(
            start=lambda: self._worker(self.killed, pace_s=self.options.pace_s),
            look=self._look,
            chance=self.chance,
            pace_s=self.options.pace_s,
            waits_for_puts=self.options.durability != "exit",
            tell=self.tell,
        )

    def _look(self) -> ThreadTiers:
        """Counts from outside: a saver of ours would begin to flush."""
        look = inspect_thread(
            self.servers.mongodb_uri, self.servers.redis_url, Settings.create(**self.settings), self.killed
        )
        return asyncio.run(look)

    def _compare(self, scripted: bool) -> tuple[Ending, list[str]]:
        with self.saver() as saver:
            killed = ending_of(saver, self.killed)
            if scripted:
                return killed, differences(killed, ending_of(saver, self.reference))
        return killed, gaps(killed) if self.options.durability != "exit" else []

    def _worker(self, thread_id: str, *, pace_s: float) -> Worker:
        task = Task(
            mongodb_uri=self.servers.mongodb_uri,
            redis_url=self.servers.redis_url,
            settings=self.settings,
            thread_id=thread_id,
            path=str(self.root),
            model=self.options.model,
            durability=self.options.durability,
            pace_s=pace_s,
        )
        return Worker(task)

    def saver(self) -> SessionBridgeSaver:
        """A saver as the workers have it."""
        servers = self.servers
        return SessionBridgeSaver.from_conn_string(servers.mongodb_uri, servers.redis_url, **self.settings)

    def delete_threads(self) -> None:
        """Leaves no thread behind; servers that went away meanwhile were reported already."""
        with contextlib.suppress(UnavailableError), self.saver() as saver:
            saver.delete_thread(self.reference)
            saver.delete_thread(self.killed)
