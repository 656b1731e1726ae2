"""What is known of the runs that are under way: which run belongs to which thread, root and node.

Callbacks name only a run and its parent, and their ends carry no metadata. So each run is remembered from its start to
its end; what a root run leaves behind goes with it, and the number of runs is bounded in any case.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from langgraph_session_bridge.records.forks import begins_anew
from langgraph_session_bridge.records.recorder.places import Ids, text
from langgraph_session_bridge.storage.facets import Facet

_NODE_TAG = "graph:step:"
_MAX_ASKERS = 256


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """A run under way.

    Attributes:
        id: Its id.
        parent_id: Who called it.
        thread_id: The session.
        root: The outermost run of the same thread; None if it is that itself.
        node: The run of the graph's node in which it happens; None outside of nodes and for such a run itself.
        namespace: Full checkpoint namespace.
        metadata: As the callback got it.
        is_node: Whether it is the run of a node.
        is_tool: Whether it is the run of a tool.
        start: What was recorded at its start, if something was.
        given: What a node was called with.
        calls: Of a node: the last execution of each tool call, by its tool_call_id.
        within_tool: Whether a tool called it, in the same node.
        nests: Of a node: whether it is a graph, or runs one otherwise than by a tool.
        answered: Of a node: answers that nodes of graphs inside of it gave.
        children: Of a root: runs that are still under way.
        askers: Of a root: which message of a model made a tool call, by its tool_call_id; the latest ones.
        outlives: Of a tool: whether it may go on when its run is over, in a thread that nobody can stop.
        was_interrupted: Of a root: whether it paused.
        last_error: Of a root: what failed last in it, so that it is told once.
        last_lifecycle: The pause or resumption that was told last, likewise.
    """

    id: str
    parent_id: str | None
    thread_id: str
    root: Run | None = None
    node: Run | None = None
    namespace: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_node: bool = False
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    since: float = field(default_factory=time.monotonic)
    start: Facet | None = None
    given: Any = None
    calls: dict[str, Run] = field(default_factory=dict)
    is_tool: bool = False
    within_tool: bool = False
    nests: bool = False
    answered: list[Any] = field(default_factory=list)
    children: set[str] = field(default_factory=set)
    askers: OrderedDict[str, str] = field(default_factory=OrderedDict)
    outlives: bool = False
    was_interrupted: bool = False
    last_error: BaseException | None = None
    last_lifecycle: Any = None

    @property
    def ids(self) -> Ids:
        """The run, its parent and its root."""
        return Ids(run_id=self.id, parent_run_id=self.parent_id, root_run_id=(self.root or self).id)

    @property
    def duration_s(self) -> float:
        """Seconds since it started, without what recording the start waited for."""
        return time.monotonic() - self.since

    def restart_clock(self) -> None:
        """The wait is over: what is timed begins now."""
        self.since = time.monotonic()


class Runs:
    """The runs under way in this process; hooks of many threads use it at once."""

    def __init__(self, max_runs: int = 65_536, max_orphans: int = 1024) -> None:
        """Remembers so many runs, and so many tools whose run was cancelled while they went on."""
        self.after_fork()
        begins_anew(self)
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._roots: dict[str, str] = {}
        self._orphans: OrderedDict[str, Run] = OrderedDict()
        self._max_runs, self._max_orphans = max_runs, max_orphans
        self.forgotten = 0

    def after_fork(self) -> None:
        """Runs that went on in the thread that forked go on."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._runs) + len(self._orphans)

    def begin(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any] | None,
        tags: Sequence[str] | None = None,
        given: Any = None,
        *,
        is_tool: bool = False,
    ) -> Run | None:
        """Remembers a run that starts; None if it belongs to no thread."""
        metadata = metadata or {}
        with self._lock:
            parent = self._runs.get(str(parent_run_id)) or self._orphans.get(str(parent_run_id))
            thread_id = metadata.get("thread_id") or (parent.thread_id if parent else None)
            if not thread_id:
                return None
            run = Run(
                id=str(run_id),
                parent_id=text(parent_run_id),
                thread_id=str(thread_id),
                namespace=text(metadata.get("langgraph_checkpoint_ns")),
                metadata=metadata,
                is_node=any(tag.startswith(_NODE_TAG) for tag in tags or ()),
                is_tool=is_tool,
            )
            if parent is not None and parent.thread_id == run.thread_id:
                self._join(run, parent)
            if run.root is None:
                self._roots[run.id] = run.thread_id
            if run.is_node:
                run.given = given
            self._runs[run.id] = run
            self._bound(self._runs, self._max_runs)
        return run

    def _join(self, run: Run, parent: Run) -> None:
        run.root = parent.root or parent
        run.root.children.add(run.id)
        run.node = parent if parent.is_node else parent.node
        run.within_tool = parent.is_tool or (parent.within_tool and not parent.is_node)
        if run.is_node and run.node is not None and not run.within_tool:
            run.node.nests = True

    def _bound(self, runs: OrderedDict[str, Run], most: int) -> None:
        while len(runs) > most:
            _, oldest = runs.popitem(last=False)
            self.forgotten += 1
            self._roots.pop(oldest.id, None)
            if oldest.root is not None:
                oldest.root.children.discard(oldest.id)

    def made_calls(self, run: Run, tool_call_ids: Sequence[str], message_id: str) -> None:
        """Remembers which message made tool calls: the tasks that answer them may not get to see it."""
        with self._lock:
            askers = (run.root or run).askers
            for tool_call_id in tool_call_ids:
                askers[tool_call_id] = message_id
                askers.move_to_end(tool_call_id)
            while len(askers) > _MAX_ASKERS:
                askers.popitem(last=False)

    def get(self, run_id: UUID | str | None) -> Run | None:
        """A run under way."""
        return self._runs.get(str(run_id))

    def roots_of(self, thread_id: str) -> set[str]:
        """The root runs of a thread that are under way in this process."""
        with self._lock:
            return {run_id for run_id, thread in self._roots.items() if thread == thread_id}

    def end(self, run_id: UUID) -> Run | None:
        """Forgets a run that ends, and what a root run left behind; None if it is not known."""
        with self._lock:
            run = self._runs.pop(str(run_id), None) or self._orphans.pop(str(run_id), None)
            self._roots.pop(str(run_id), None)
            if run is not None and run.root is not None:
                run.root.children.discard(run.id)
            return run

    def left_of(self, root: Run) -> list[Run]:
        """Forgets what is still under way in a root run that ended.

        Returns those of which a start was recorded. What may go on all the same is still found by `end`.
        """
        with self._lock:
            children, root.children = root.children, set()
            left = [run for run in (self._runs.pop(run_id, None) for run_id in children) if run is not None]
            self._orphans.update((run.id, run) for run in left if run.outlives)
            self._bound(self._orphans, self._max_orphans)
        return [run for run in left if run.start is not None]
