"""The state machine: one saver under test, one model, the same calls, the same answers."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from typing import Any

from contract.build import ABSENT, at, checkpoint, new_id, place
from contract.compare import view
from contract.model import ModelSaver
from contract.reference import Subject
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from . import strategies as gen

Place = tuple[str, str, str]

NAMESPACES = ("", "child:1", "child:1|leaf:$.2")
INITIAL_THREADS = 3
picks = st.integers(0, 1_000)
namespaces = st.sampled_from(NAMESPACES)


class SaverMachine(RuleBasedStateMachine):
    """Thread and run ids are unique to the example, so subjects may share one store."""

    def __init__(self, subject_factory: Callable[[], Subject]) -> None:
        super().__init__()
        self.subject = subject_factory()
        self.model = ModelSaver()
        self.example = uuid.uuid4().hex[:8]
        self.threads = [f"{self.example}-t{n}" for n in range(INITIAL_THREADS)]
        self.gone: list[Place] = []
        self.low_ids = 0
        self.minted: set[str] = set()

    @initialize(start=st.lists(st.tuples(gen.changes, gen.metadata, gen.write_lists), max_size=4))
    def begin_with_a_thread(self, start: list[tuple[dict[str, gen.Change], dict[str, Any], list[Any]]]) -> None:
        for changes, metadata, writes in start:
            id = new_id()
            head = self._parent(self.threads[0], "", None, True)
            self._put(at(self.threads[0], "", head), id, changes, metadata)
            self._both("put_writes", at(self.threads[0], "", id), writes, "task-1")

    # what happens

    @rule(
        thread=picks,
        ns=namespaces,
        parent=st.none() | picks,
        from_head=st.booleans(),
        changes=gen.changes,
        metadata=gen.metadata,
        late=st.integers(0, 9),
        writes_first=st.none() | gen.write_lists,
        flush_between=st.booleans(),
    )
    def put(
        self,
        thread: int,
        ns: str,
        parent: int | None,
        from_head: bool,
        changes: dict[str, gen.Change],
        metadata: dict[str, Any],
        late: int,
        writes_first: list[tuple[str, Any]] | None,
        flush_between: bool,
    ) -> None:
        """A successor of the head, of any earlier checkpoint (a fork), or of nothing."""
        where = self.threads[thread % len(self.threads)]
        base = self._parent(where, ns, parent, from_head)
        id = self._low_id() if late == 0 else new_id()
        if writes_first is not None:
            self._both("put_writes", at(where, ns, id), writes_first, "early")
            if flush_between:
                self.subject.flush()
        self._put(at(where, ns, base), id, changes, metadata)

    @rule(
        thread=picks,
        fork=st.booleans(),
        change=gen.list_changes,
        writes=gen.write_lists,
        run=st.sampled_from(gen.RUNS),
    )
    def step(self, thread: int, fork: bool, change: gen.Change, writes: list[tuple[str, Any]], run: str) -> None:
        """What a graph does most: one list grows, one task writes."""
        where, id = self.threads[thread % len(self.threads)], new_id()
        parent = self._parent(where, "", thread, not fork)
        self._put(at(where, "", parent), id, {"messages": change}, {"source": "loop", "step": 0, "run": run})
        self._both("put_writes", at(where, "", id), [*writes, ("messages", run)], "task-1")

    @precondition(lambda self: self._places())
    @rule(pick=picks, changes=gen.changes, metadata=gen.metadata)
    def put_again(self, pick: int, changes: dict[str, gen.Change], metadata: dict[str, Any]) -> None:
        """The same id with other content: it replaces, and the writes stay."""
        thread, ns, id = self._pick(pick)
        known = self.model.get_tuple(at(thread, ns, id)).parent_config
        self._put(at(thread, ns, known and place(known)[2]), id, changes, metadata, base=id)

    @precondition(lambda self: self.gone)
    @rule(pick=picks, changes=gen.changes, metadata=gen.metadata)
    def put_what_was_deleted(self, pick: int, changes: dict[str, gen.Change], metadata: dict[str, Any]) -> None:
        """The id may come back, its old writes and values may not."""
        thread, ns, id = self.gone[pick % len(self.gone)]
        self._put(at(thread, ns), id, changes, metadata)

    @precondition(lambda self: self._places())
    @rule(pick=picks, writes=gen.write_lists, task=gen.task_ids, path=gen.task_paths)
    def put_writes(self, pick: int, writes: list[tuple[str, Any]], task: str, path: str) -> None:
        self._both("put_writes", at(*self._pick(pick)), writes, task, path)
        self._check_tuple(at(*self._pick(pick)))

    @precondition(lambda self: len(self._places()) > 3)
    @rule(thread=picks)
    def delete_thread(self, thread: int) -> None:
        where = self.threads[thread % len(self.threads)]
        self._both("delete_thread", where)
        self._check_thread(where)

    @precondition(lambda self: len(self.threads) < 8)
    @rule(thread=picks)
    def copy_thread(self, thread: int) -> None:
        target = f"{self.example}-c{len(self.threads)}"
        self._both("copy_thread", self.threads[thread % len(self.threads)], target)
        self.threads.append(target)
        self._check_thread(target)

    @precondition(lambda self: len(self._places()) > 3)
    @rule(threads=st.lists(picks, max_size=2), strategy=st.sampled_from(["keep_latest", "keep_latest", "delete"]))
    def prune(self, threads: list[int], strategy: str) -> None:
        chosen = [self.threads[n % len(self.threads)] for n in threads]
        self._both("prune", chosen, strategy=strategy)
        for where in chosen:
            self._check_thread(where)

    @precondition(lambda self: len(self._places()) > 3)
    @rule(runs=st.lists(st.sampled_from(gen.RUNS), max_size=1))
    def delete_for_runs(self, runs: list[str]) -> None:
        self._both("delete_for_runs", [self._run(run) for run in runs])

    # accidents that must not show

    @rule()
    def flush(self) -> None:
        self.subject.flush()

    @rule()
    def drop_cache(self) -> None:
        self.subject.drop_cache()

    @rule()
    def restart(self) -> None:
        self.subject.restart()

    # what must be equal

    @rule(thread=picks, ns=namespaces)
    def latest_is_equal(self, thread: int, ns: str) -> None:
        self._check_tuple(at(self.threads[thread % len(self.threads)], ns))

    @precondition(lambda self: self._places())
    @rule(pick=picks)
    def any_checkpoint_is_equal(self, pick: int) -> None:
        self._check_tuple(at(*self._pick(pick)))

    @precondition(lambda self: self.gone)
    @rule(pick=picks)
    def what_is_gone_stays_gone(self, pick: int) -> None:
        self._check_tuple(at(*self.gone[pick % len(self.gone)]))

    @rule(
        thread=picks,
        ns=namespaces,
        filter=st.none() | gen.filters,
        before=st.none() | picks,
        limit=st.none() | st.integers(0, 3),
    )
    def lists_are_equal(
        self, thread: int, ns: str, filter: dict[str, Any] | None, before: int | None, limit: int | None
    ) -> None:
        cursor = at(*self._pick(before)) if before is not None and self._places() else None
        config = at(self.threads[thread % len(self.threads)], ns)
        criteria = {"filter": filter, "before": cursor, "limit": limit}
        ours, model = (self._views(saver.list(config, **criteria)) for saver in (self.subject.saver, self.model))
        assert ours == model

    @rule()
    def the_list_over_all_threads_is_equal(self) -> None:
        own = {"example": self.example}
        ours, model = (self._views(saver.list(None, filter=own)) for saver in (self.subject.saver, self.model))
        assert sorted(ours, key=_by_place) == sorted(model, key=_by_place)

    @precondition(lambda self: self._places())
    @rule(pick=picks)
    def delta_history_is_equal(self, pick: int) -> None:
        query = {"config": at(*self._pick(pick)), "channels": ["messages", "x", "unknown"]}
        ours = self.subject.saver.get_delta_channel_history(**query)
        assert ours == self.model.get_delta_channel_history(**query)

    def teardown(self) -> None:
        try:
            for thread in self.threads:
                self._check_thread(thread)
            for gone in self.gone[-20:]:
                self._check_tuple(at(*gone))
        finally:
            self.subject.close()

    # how

    def _put(
        self, config: Any, id: str, changes: dict[str, gen.Change], metadata: dict[str, Any], *, base: str | None = None
    ) -> None:
        keys = config["configurable"]
        made, new_versions = self._successor({**keys, "checkpoint_id": base or keys.get("checkpoint_id")}, id, changes)
        given = {**metadata, "parents": {}, "example": self.example}
        if run := given.pop("run", None):
            given["run_id"] = self._run(run)
        self._both("put", config, made, given, new_versions)
        self._check_tuple(at(keys["thread_id"], keys["checkpoint_ns"], id))

    def _successor(self, keys: dict[str, Any], id: str, changes: dict[str, gen.Change]) -> tuple[Any, dict[str, str]]:
        found = self.model.get_tuple({"configurable": keys}) if keys["checkpoint_id"] else None
        values = dict(found.checkpoint["channel_values"]) if found else {}
        versions = dict(found.checkpoint["channel_versions"]) if found else {}
        current = max(versions.values(), default=None)
        new_versions = {channel: self.subject.saver.get_next_version(current, None) for channel in changes}
        # The model keeps values by version too: a version minted twice would fool both alike.
        assert self.minted.isdisjoint(new_versions.values()), "two branches share a version"
        self.minted.update(new_versions.values())
        for channel, change in changes.items():
            values[channel] = change(values.get(channel, ABSENT))
        values = {channel: value for channel, value in values.items() if value is not ABSENT}
        return checkpoint(values, {**versions, **new_versions}, id=id), new_versions

    def _both(self, method: str, *args: Any, **kwargs: Any) -> None:
        """The same call on both; each gets values of its own."""
        before = set(self._places())
        for saver in (self.subject.saver, self.model):
            getattr(saver, method)(*copy.deepcopy(args), **copy.deepcopy(kwargs))
        after = set(self._places())
        self.gone = [p for p in self.gone if p not in after] + sorted(before - after)

    def _check_tuple(self, config: Any) -> None:
        ours, model = self.subject.saver.get_tuple(config), self.model.get_tuple(config)
        assert (ours is None) == (model is None), f"ours: {ours}, model: {model}"
        if ours is not None and model is not None:
            assert self._views([ours]) == self._views([model])

    def _check_thread(self, thread: str) -> None:
        config = at(thread, ABSENT)
        ours, model = (self._views(saver.list(config)) for saver in (self.subject.saver, self.model))
        assert sorted(ours, key=_by_place) == sorted(model, key=_by_place)
        for ns in NAMESPACES:
            self._check_tuple(at(thread, ns))

    def _views(self, found: Any) -> list[dict[str, Any]]:
        existing = set(self._places())
        return [view(f, existing=existing) for f in found]

    def _places(self) -> list[Place]:
        return [
            (thread, ns, id)
            for thread, namespaces in self.model.storage.items()
            for ns, checkpoints in namespaces.items()
            for id in checkpoints
        ]

    def _pick(self, pick: int) -> Place:
        places = self._places()
        return places[pick % len(places)]

    def _parent(self, thread: str, ns: str, pick: int | None, from_head: bool) -> str | None:
        ids = sorted(self.model.storage.get(thread, {}).get(ns, {}))
        if not ids:
            return None
        if from_head:
            return ids[-1]
        return None if pick is None else ids[pick % len(ids)]

    def _low_id(self) -> str:
        self.low_ids += 1
        return f"0-{self.low_ids:06}"

    def _run(self, run: str) -> str:
        return f"{self.example}-{run}"


def _by_place(entry: dict[str, Any]) -> Place:
    return entry["place"]
