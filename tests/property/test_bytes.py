"""A put costs what is new, plus a constant: bytes of the documents that are handed to the storage, without servers.

`MAIN` is what a checkpoint costs whatever is in it (version maps, metadata, and the frames of a run or two), `CHANNEL`
and `PIECE` what each channel and each piece of a list add to that, `FRAME` what an element costs besides its own bytes.
A list of too many pieces is stored anew: its bytes are spread over the `EDITS` puts, at least, that make so many.

`LSB_HYPOTHESIS_PROFILE=long` looks further.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from contract.build import checkpoint, new_id
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from langgraph_session_bridge.checkpoint.fingerprints import Fingerprints
from langgraph_session_bridge.checkpoint.lineage import MAX_PIECES
from langgraph_session_bridge.checkpoint.serialising import Limits
from langgraph_session_bridge.checkpoint.work import CheckpointWork
from langgraph_session_bridge.storage.documents import encode
from langgraph_session_bridge.storage.hints import Layout
from langgraph_session_bridge.storage.lineages import OwnLineages
from langgraph_session_bridge.storage.work import Prepared

from .growing import words

MAIN = 650
CHANNEL = 150
RUN = 150
PIECE = 9
FRAME = 1.15
EDITS = (MAX_PIECES - 32) // 2
MOST = 300
EXAMPLES = 300 if os.environ.get("LSB_HYPOTHESIS_PROFILE") == "long" else 60

SERDE = JsonPlusSerializer()
PRINTS = Fingerprints(SERDE)
LIMITS = Limits(inline=128, ceiling=2**30)


Element = tuple[str, Any]
"""A key (none in a list) and an item."""
_weights: dict[tuple[str, int], tuple[Any, int]] = {}


def weight(elements: Iterable[Element]) -> int:
    """Bytes of elements, serialised; the items are kept, so that an identity is of one item for ever."""
    total = 0
    for key, item in elements:
        if (key, id(item)) not in _weights:
            _weights[key, id(item)] = item, len(SERDE.dumps_typed([key, item] if key else item)[1])
        total += _weights[key, id(item)][1]
    return total


def elements_of(value: Any) -> list[Element]:
    if isinstance(value, dict):
        return list(value.items())
    return [("", item) for item in value] if isinstance(value, list) else []


def news(old: Any, new: Any) -> list[Element]:
    """The elements of a value that the one before it has not, as objects: nobody changes one in place here."""
    known = {(key, id(item)) for key, item in elements_of(old)}
    return [(key, item) for key, item in elements_of(new) if (key, id(item)) not in known]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one put stored: all bytes, how many elements, and the bytes of the elements that are new."""

    stored: int
    elements: int
    new: int
    new_elements: int
    prepared: Prepared

    @property
    def constant(self) -> int:
        further = max(len(self.prepared.runs) - 1, 0)  # one more each time that a block of 64 positions is full
        return MAIN + CHANNEL * len(self.prepared.values) + PIECE * len(self.prepared.pieces) + RUN * further


class Walk:
    """Puts one after the other, as one process lays them out."""

    def __init__(self) -> None:
        self._extend = OwnLineages().extend
        self._layout: Layout | None = None
        self._versions: dict[str, str] = {}
        self._count = itertools.count(1)
        self.values: dict[str, Any] = {}

    def put(self, **changes: Any) -> Cost:
        new = {channel: news(self.values.get(channel, []), value) for channel, value in changes.items()}
        self.values = {**self.values, **changes}
        version = f"{next(self._count):032}.{random.random():016}"
        self._versions |= dict.fromkeys(changes, version)
        work = CheckpointWork(
            serde=SERDE,
            fingerprints=PRINTS,
            thread_id="a-thread-of-someone",
            ns="",
            parent=new_id(),
            checkpoint=checkpoint(self.values, self._versions, updated_channels=sorted(changes)),
            metadata={"source": "loop", "step": 1, "parents": {}},
            filterable={"source": "loop", "step": 1},
            new_versions=dict.fromkeys(changes, version),
            limits=LIMITS,
            known=self._layout,
        )
        prepared = work.prepare(self._layout, self._extend)
        self._layout = Layout(generation=0, values=prepared.values)
        return Cost(
            stored=sum(len(encode(document, "a-thread-of-someone", 0).raw) for document in prepared.documents),
            elements=sum(run.stop - run.start for run in prepared.runs),
            new=sum(map(weight, new.values())),
            new_elements=sum(map(len, new.values())),
            prepared=prepared,
        )

    @property
    def size(self) -> int:
        return sum(weight(elements_of(value)) for value in self.values.values())


def check(costs: list[Cost], size: int) -> None:
    """Single puts and all together cost what is new; `size` is the most that the lists weighed."""
    for cost in costs:
        assert cost.elements >= cost.new_elements
        if cost.elements == cost.new_elements:  # nothing was stored anew for having too many pieces
            assert cost.stored <= cost.new * FRAME + cost.constant
    anew = [cost for cost in costs if cost.elements > cost.new_elements]
    assert len(anew) <= len(costs) / EDITS
    allowed = sum(cost.new * FRAME + cost.constant for cost in costs) + len(costs) * size / EDITS * FRAME
    assert sum(cost.stored for cost in costs) <= allowed


class Source:
    """Elements that never occur twice."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1000)

    def messages(self, count: int) -> list[Any]:
        return [HumanMessage(words(number), id=f"{number}") for number in itertools.islice(self._numbers, count)]

    def entries(self, count: int) -> list[Any]:
        return [{"n": number, "text": words(number)} for number in itertools.islice(self._numbers, count)]


Step = tuple[str, int, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "trim", "edit", "edit"]),
        st.integers(0, 1000),
        st.integers(0, 6),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=60,
)


def edited(items: list[Any], step: Step, make: Callable[[int], list[Any]]) -> list[Any]:
    """The next list: it grows at its end, loses its beginning, or is changed in one place."""
    what, at, removed, added = step
    if what == "append":
        return [*items, *make(added)][-MOST:]
    if what == "trim":
        return items[removed * at % 50 :]
    first = at % (len(items) + 1)
    return [*items[:first], *make(added), *items[first + removed :]]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, MOST), steps)
def test_a_put_on_a_list_costs_what_is_new(count: int, many: list[Step]) -> None:
    walk, source = Walk(), Source()
    state = source.messages(count)
    costs, size = [walk.put(messages=state)], walk.size
    for step in many:
        state = edited(state, step, source.messages)
        costs.append(walk.put(messages=state))
        size = max(size, walk.size)
    check(costs, size)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, MOST), steps)
def test_a_put_on_a_dictionary_costs_what_is_new(count: int, many: list[Step]) -> None:
    """Items are added, removed, and set to something else where they are."""
    walk, source, names = Walk(), Source(), itertools.count()
    state = {f"key-{next(names)}": entry for entry in source.entries(count)}
    costs, size = [walk.put(notes=state)], walk.size
    for what, at, removed, added in many:
        keys = list(state)
        if what == "append":
            state = {**state, **{f"key-{next(names)}": entry for entry in source.entries(added)}}
        elif what == "trim":
            state = {key: state[key] for key in keys[removed:]}
        else:
            first = at % (len(keys) + 1)
            chosen = keys[first : first + removed]
            state = {**state, **dict(zip(chosen, source.entries(len(chosen)), strict=True))}
        costs.append(walk.put(notes=state))
        size = max(size, walk.size)
    check(costs, size)


WALKS: dict[str, Callable[[list[Any], int, random.Random, Source], list[Any]]] = {
    "a chat": lambda state, step, chance, source: [*state, *source.messages(2)][-MOST:],
    "a window": lambda state, step, chance, source: [*state[1:], *source.messages(1)],
    "a window under a system message": lambda state, step, chance, source: [
        *state[:1],
        *state[2:],
        *source.messages(1),
    ],
    "one changed anywhere": lambda state, step, chance, source: edited(
        state, ("edit", chance.randrange(MOST), 1, 1), source.messages
    ),
    "one removed and one added anywhere": lambda state, step, chance, source: edited(
        edited(state, ("edit", chance.randrange(MOST), 1, 0), source.messages),
        ("edit", chance.randrange(MOST), 0, 1),
        source.messages,
    ),
    "every other changed in turn": lambda state, step, chance, source: edited(
        state, ("edit", 2 * step % MOST, 1, 1), source.messages
    ),
    "the first changed": lambda state, step, chance, source: [*source.messages(1), *state[1:]],
    "the last changed": lambda state, step, chance, source: [*state[:-1], *source.messages(1)],
    "a summary for the oldest": lambda state, step, chance, source: (
        [*source.messages(1), *state[100:], *source.messages(2)] if len(state) > 250 else [*state, *source.messages(2)]
    ),
}


@pytest.mark.parametrize("name", WALKS)
def test_a_long_walk_costs_what_is_new(name: str) -> None:
    walk, source, chance = Walk(), Source(), random.Random(1)
    state = source.messages(MOST)
    costs, size = [walk.put(messages=state)], walk.size
    for step in range(200):
        state = WALKS[name](state, step, chance, source)
        costs.append(walk.put(messages=state))
        size = max(size, walk.size)
    check(costs, size)


def started(count: int = 200) -> tuple[Walk, Source]:
    walk, source = Walk(), Source()
    walk.put(
        messages=source.messages(count),
        notes={f"{number}": entry for number, entry in enumerate(source.entries(count))},
        text=words(1, 5000),
    )
    return walk, source


def only_the_checkpoint(cost: Cost) -> bool:
    return [document.field[:2] for document in cost.prepared.documents] == ["c/"] and cost.stored <= cost.constant


def test_channels_that_did_not_change_cost_nothing() -> None:
    walk, _ = started()
    assert only_the_checkpoint(walk.put())
    assert only_the_checkpoint(walk.put(step=1))


def test_a_value_that_is_written_again_as_it_was_costs_nothing() -> None:
    walk, _ = started()
    again = {
        "messages": [message.model_copy(deep=True) for message in walk.values["messages"]],
        "notes": {key: dict(entry) for key, entry in walk.values["notes"].items()},
        "text": "".join(walk.values["text"]),
    }
    for _ in range(3):
        assert only_the_checkpoint(walk.put(**again))


TRIMS: dict[str, Callable[[list[Any]], list[Any]]] = {
    "from the front": lambda items: items[7:],
    "from the end": lambda items: items[:-7],
    "at both ends": lambda items: items[3:-3],
    "in the middle": lambda items: [*items[:50], *items[70:]],
    "every second": lambda items: items[::2],
    "to one": lambda items: items[100:101],
    "to nothing": lambda items: [],
    "to the same in another order": lambda items: items[100:] + items[:100],
}


@pytest.mark.parametrize("how", TRIMS)
def test_a_put_that_only_leaves_elements_out_stores_none(how: str) -> None:
    walk, _ = started()
    kept = TRIMS[how](list(walk.values["notes"]))
    cost = walk.put(
        messages=TRIMS[how](walk.values["messages"]), notes={key: walk.values["notes"][key] for key in kept}
    )
    assert cost.new == cost.elements == 0
    assert only_the_checkpoint(cost)
    assert only_the_checkpoint(walk.put(step=1))


def test_a_checkpoint_of_lists_in_many_pieces_stays_small() -> None:
    walk, source = started(MOST)
    state = walk.values["messages"]
    pieces = 0
    for step in range(60):
        state = edited(state, ("edit", 4 * step + 1, 1, 1), source.messages)
        cost = walk.put(messages=state)
        pieces = max(pieces, len(cost.prepared.values["messages"].pieces))
        assert cost.stored <= cost.new * FRAME + cost.constant
    assert pieces > MAX_PIECES / 2
