"""Threads with large lists and dictionaries under any edit, against deep copies kept in plain Python."""

from __future__ import annotations

import copy
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from contract.build import at, checkpoint, meta, new_id
from contract.compare import shape
from contract.reference import Subject
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

Edit = Callable[["Thread", Any], Any]
"""The live value of a channel to the next; it may change elements in place."""

MOST = 300
picks = st.integers(0, 1_000)


def words(seed: int, size: int = 250) -> str:
    return f"{seed:x} " + random.Random(seed).randbytes(size // 2).hex()


def element(kind: int, seed: int) -> Any:
    """A message (without an id: its reducer names it), a dictionary, a string, a nested list, or something small."""
    made: list[Callable[[], Any]] = [
        lambda: HumanMessage(words(seed)),
        lambda: AIMessage(words(seed), tool_calls=[{"name": "f", "args": {"n": [seed]}, "id": f"{seed}"}]),
        lambda: ToolMessage(words(seed), tool_call_id=f"{seed}", artifact={"rows": [seed, None, 1.0]}),
        lambda: {"role": "user", "content": words(seed), "n": seed, "flag": True},
        lambda: words(seed),
        lambda: [seed, {"deep": [words(seed)]}],
        lambda: seed % 3 or None,
    ]
    return made[kind % len(made)]()


def changed(one: Any, seed: int) -> Any:
    """The element itself, with something in it changed; another one where it cannot be changed."""
    if isinstance(one, AIMessage):
        one.tool_calls[0]["args"]["n"].append(seed)
    elif isinstance(one, ToolMessage):
        one.artifact["rows"].append(seed)
    elif isinstance(one, BaseMessage):
        one.additional_kwargs["seen"] = seed
        one.content = f"{one.content}{seed}"
    elif isinstance(one, dict):
        one["n"] = seed
    elif isinstance(one, list):
        one.append(seed)
    else:
        return f"{one} {seed}"
    return one


@dataclass(slots=True)
class Thread:
    """The live values that a graph goes on with, and the checkpoint that they came from."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    head: str = ""
    fresh: list[Any] = field(default_factory=list)

    def make(self, kind: int, seed: int, count: int = 1) -> list[Any]:
        made = [element(kind + number if number < 7 else kind, seed + number) for number in range(count)]
        self.fresh += made
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A checkpoint as it must be found."""

    id: str
    parent: str
    values: dict[str, Any]
    versions: dict[str, str]
    writes: list[tuple[str, str, Any]] = field(default_factory=list)


def _list(old: Any) -> list[Any]:
    return old if isinstance(old, list) else []


def _span(items: list[Any], start: int, length: int) -> tuple[int, int]:
    start %= len(items) + 1
    return start, min(start + length, len(items))


def _append(kind: int, seed: int, count: int) -> Edit:
    return lambda thread, old: [*_list(old), *thread.make(kind, seed, count)][-MOST:]


def _append_in_place(kind: int, seed: int, count: int) -> Edit:
    def edit(thread: Thread, old: Any) -> Any:
        items = _list(old)
        items.extend(thread.make(kind, seed, count))
        return items

    return edit


def _replace(start: int, length: int, kind: int, seed: int, count: int) -> Edit:
    def edit(thread: Thread, old: Any) -> Any:
        first, last = _span(_list(old), start, length)
        return [*_list(old)[:first], *thread.make(kind, seed, count), *_list(old)[last:]]

    return edit


def _mutate(start: int, count: int, seed: int) -> Edit:
    def edit(thread: Thread, old: Any) -> Any:
        items = _list(old)
        for index in range(*_span(items, start, count)):
            items[index] = changed(items[index], seed)
        return items

    return edit


def _move(index: int, to: int) -> Edit:
    def edit(thread: Thread, old: Any) -> Any:
        items = list(_list(old))
        if items:
            items.insert(to % len(items), items.pop(index % len(items)))
        return items

    return edit


kinds, seeds = st.integers(0, 6), st.integers(0, 60)
list_edits: st.SearchStrategy[Edit] = st.one_of(
    st.builds(_append, kinds, seeds, st.integers(1, 5)),
    st.builds(_append, kinds, seeds, st.integers(1, 5)),
    st.builds(_append, kinds, seeds, st.just(100)),
    st.builds(_append_in_place, kinds, seeds, st.integers(1, 5)),
    st.builds(_replace, picks, st.integers(0, 5), kinds, seeds, st.integers(0, 4)),
    st.builds(_mutate, picks, st.just(1), seeds),
    st.builds(_mutate, st.integers(0, 9), st.integers(1, 9), seeds),
    st.builds(_move, picks, picks),
    st.integers(1, 90).map(lambda count: lambda thread, old: _list(old)[count:]),
    st.integers(1, 9).map(lambda count: lambda thread, old: _list(old)[:-count]),
    st.just(lambda thread, old: (_list(old) * 2)[:MOST]),
    st.just(lambda thread, old: _list(old)[::-1]),
    st.just(lambda thread, old: []),
    st.builds(lambda kind, seed, count: lambda thread, old: thread.make(kind, seed, count), kinds, seeds, seeds),
    st.just(lambda thread, old: old if isinstance(old, list) else []),
)


def _dict(old: Any) -> dict[str, Any]:
    return old if isinstance(old, dict) else {}


def _set(key: int, kind: int, seed: int) -> Edit:
    return lambda thread, old: {**_dict(old), f"k{key}": thread.make(kind, seed)[0]}


def _set_in_place(key: int, kind: int, seed: int) -> Edit:
    def edit(thread: Thread, old: Any) -> Any:
        items = _dict(old)
        items[f"k{key}"] = thread.make(kind, seed)[0]
        return items

    return edit


def _set_many(first: int, kind: int, seed: int) -> Edit:
    def edit(thread: Thread, old: Any) -> Any:
        return {**_dict(old), **{f"k{first + n}": one for n, one in enumerate(thread.make(kind, seed, 70))}}

    return edit


def _drop(key: int, again: bool) -> Edit:
    def edit(thread: Thread, old: Any) -> Any:
        items = dict(_dict(old))
        if items:
            name = list(items)[key % len(items)]
            value = items.pop(name)
            if again:
                items[name] = value
        return items

    return edit


def _mutate_item(index: int, seed: int) -> Edit:
    def edit(thread: Thread, old: Any) -> Any:
        items = _dict(old)
        if items:
            name = list(items)[index % len(items)]
            items[name] = changed(items[name], seed)
        return items

    return edit


dict_edits: st.SearchStrategy[Edit] = st.one_of(
    st.builds(_set, st.integers(0, 9), kinds, seeds),
    st.builds(_set_in_place, st.integers(0, 9), kinds, seeds),
    st.builds(_set_many, st.integers(0, 90), kinds, seeds),
    st.builds(_drop, picks, st.booleans()),
    st.builds(_mutate_item, picks, seeds),
    st.just(lambda thread, old: dict(reversed(_dict(old).items()))),
    st.just(lambda thread, old: {}),
    st.just(lambda thread, old: _dict(old)),
)
edits = st.lists(
    st.tuples(st.sampled_from(["messages", "log"]), list_edits) | st.tuples(st.just("notes"), dict_edits),
    min_size=1,
    max_size=3,
)


class GrowingMachine(RuleBasedStateMachine):
    """Two processes (savers on one store) and two threads; graphs go on from live values, or from what they read."""

    def __init__(self, subject_factory: Callable[[], Subject]) -> None:
        super().__init__()
        self.subjects = [subject_factory(), subject_factory()]
        example = uuid.uuid4().hex[:8]
        self.threads = [Thread(f"{example}-t{number}") for number in range(2)]
        self.nodes: dict[str, dict[str, Node]] = {thread.name: {} for thread in self.threads}
        self.tasks = 0

    @initialize(start=st.lists(edits, max_size=3))
    def begin(self, start: list[list[tuple[str, Edit]]]) -> None:
        for changes in start:
            self._step(0, self.threads[0], changes, written=False)

    # what graphs do

    @rule(who=st.integers(0, 5), thread=st.integers(0, 3), changes=edits, written=st.booleans())
    def step(self, who: int, thread: int, changes: list[tuple[str, Edit]], written: bool) -> None:
        """The graph goes on with the objects that it has; mostly in one process and one thread."""
        self._step(who // 5, self.threads[thread // 3], changes, written=written)

    @precondition(lambda self: any(self.nodes.values()))
    @rule(who=st.integers(0, 1), pick=picks, changes=edits, written=st.booleans())
    def fork(self, who: int, pick: int, changes: list[tuple[str, Edit]], written: bool) -> None:
        """Time travel: a checkpoint is read, edited and put as a new branch."""
        thread, node = self._pick(pick)
        thread.values, thread.head = self._read(who, thread, node), node.id
        self._step(who, thread, changes, written=written)

    @precondition(lambda self: any(self.nodes.values()))
    @rule(who=st.integers(0, 1), pick=picks)
    def any_checkpoint_is_equal(self, who: int, pick: int) -> None:
        self._read(who, *self._pick(pick))

    @precondition(lambda self: any(self.nodes.values()))
    @rule(who=st.integers(0, 1), pick=picks)
    def a_deleted_checkpoint_takes_nothing_with_it(self, who: int, pick: int) -> None:
        """Graphs may even go on from it."""
        thread, node = self._pick(pick)
        self.subjects[who].saver.delete_for_runs([f"run-{node.id}"])
        del self.nodes[thread.name][node.id]
        if self.nodes[thread.name]:
            self._read(who, thread, list(self.nodes[thread.name].values())[pick % len(self.nodes[thread.name])])

    @rule(who=st.integers(0, 1), thread=st.integers(0, 1))
    def prune(self, who: int, thread: int) -> None:
        chosen = self.threads[thread]
        self.subjects[who].saver.prune([chosen.name])
        nodes = self.nodes[chosen.name]
        self.nodes[chosen.name] = {id: nodes[id] for id in sorted(nodes)[-1:]}

    # accidents that must not show

    @rule(who=st.integers(0, 1))
    def flush(self, who: int) -> None:
        self.subjects[who].flush()

    @rule(who=st.integers(0, 1))
    def tidy(self, who: int) -> None:
        saver: Any = self.subjects[who].saver
        saver.compact()

    @rule(who=st.integers(0, 1), thread=st.integers(0, 1))
    def compact(self, who: int, thread: int) -> None:
        saver: Any = self.subjects[who].saver
        saver.compact([self.threads[thread].name])

    @rule(who=st.integers(0, 1))
    def drop_cache(self, who: int) -> None:
        self.subjects[who].drop_cache()

    @rule(who=st.integers(0, 1))
    def restart(self, who: int) -> None:
        self.subjects[who].restart()

    def teardown(self) -> None:
        try:
            for number, thread in enumerate(self.threads):
                for who in (number, 1 - number):
                    self._check_all(who, thread)
        finally:
            for subject in self.subjects:
                subject.close()

    # how

    def _step(self, who: int, thread: Thread, changes: list[tuple[str, Edit]], *, written: bool) -> None:
        saver, nodes = self.subjects[who].saver, self.nodes[thread.name]
        parent = nodes.get(thread.head)
        versions = dict(parent.versions) if parent else {}
        thread.values = dict(thread.values)
        for channel, edit in changes:
            thread.fresh = []
            thread.values[channel] = edit(thread, thread.values.get(channel))
            if written and parent and thread.fresh:
                self._write(saver, thread, parent, channel)
            _name_messages(thread.values[channel])
        new_versions = {
            channel: saver.get_next_version(max(versions.values(), default=None), None) for channel, _ in changes
        }
        # What was put without a parent, or on one that was deleted, is all new.
        if parent is None:
            new_versions |= {
                channel: saver.get_next_version(None, None) for channel in thread.values.keys() - new_versions.keys()
            }
        id, versions = new_id(), {**versions, **new_versions}
        node = Node(id=id, parent=thread.head, values=copy.deepcopy(thread.values), versions=versions)
        saver.put(
            at(thread.name, "", thread.head or None),
            checkpoint(thread.values, versions, id=id),
            meta(run_id=f"run-{id}"),
            new_versions,
        )
        assert thread.values == node.values, "a put changes nothing that it was given"
        nodes[id], thread.head = node, id
        self._read(who, thread, node)
        others = list(nodes.values())
        self._read(who, thread, others[len(id) * len(changes) * 7 % len(others)])

    def _write(self, saver: Any, thread: Thread, parent: Node, channel: str) -> None:
        """What a node returned, before its reducer named it: one write of all, and one of the first alone."""
        self.tasks += 1
        task = f"task-{self.tasks:06}"
        writes = [(channel, thread.fresh), ("first", thread.fresh[0])]
        parent.writes.extend((task, name, copy.deepcopy(value)) for name, value in writes)
        saver.put_writes(at(thread.name, "", parent.id), writes, task)

    def _read(self, who: int, thread: Thread, node: Node) -> dict[str, Any]:
        found = self.subjects[who].saver.get_tuple(at(thread.name, "", node.id))
        assert found is not None, f"checkpoint {node.id} is gone"
        self._check(found, node)
        return found.checkpoint["channel_values"]

    @staticmethod
    def _check(found: Any, node: Node) -> None:
        values = found.checkpoint["channel_values"]
        assert values == node.values
        assert list(map(list, map(dict.items, _dicts(values)))) == list(map(list, map(dict.items, _dicts(node.values))))
        assert shape(values) == shape(node.values)
        assert found.checkpoint["channel_versions"] == node.versions
        assert found.pending_writes == node.writes
        assert shape([write[2] for write in found.pending_writes]) == shape([write[2] for write in node.writes])

    def _check_all(self, who: int, thread: Thread) -> None:
        nodes = self.nodes[thread.name]
        listed = list(self.subjects[who].saver.list(at(thread.name)))
        assert [found.checkpoint["id"] for found in listed] == sorted(nodes, reverse=True)
        for found in listed:
            self._check(found, nodes[found.checkpoint["id"]])
        head = self.subjects[who].saver.get_tuple(at(thread.name))
        assert (head.checkpoint["id"] if head else None) == max(nodes, default=None)
        if head is not None:
            self._check(head, nodes[head.checkpoint["id"]])

    def _pick(self, pick: int) -> tuple[Thread, Node]:
        places = [(thread, node) for thread in self.threads for node in self.nodes[thread.name].values()]
        return places[pick % len(places)]


def _dicts(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The values that are dictionaries: the order of their keys matters too."""
    return [value for value in values.values() if isinstance(value, dict)]


def _name_messages(value: Any) -> None:
    """What `add_messages` does: messages without an id get one, in place."""
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, BaseMessage) and one.id is None:
            one.id = str(uuid.uuid4())
