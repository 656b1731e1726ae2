"""Pending writes that refer to the next checkpoint say what they said: the same values, by fewer bytes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from contract.build import checkpoint
from contract.compare import shape as types_of
from contract.samples import Note
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import INTERRUPT

from langgraph_session_bridge.checkpoint.codec import Loader, decode_writes
from langgraph_session_bridge.checkpoint.fingerprints import Fingerprints
from langgraph_session_bridge.checkpoint.serialising import Limits
from langgraph_session_bridge.checkpoint.templates import Templates
from langgraph_session_bridge.checkpoint.work import CheckpointWork, WritesWork
from langgraph_session_bridge.storage.chores import Chore, Thinned
from langgraph_session_bridge.storage.documents import (
    CHUNK_BYTES,
    Document,
    Encoded,
    checkpoint_field,
    content_digest,
    decode,
    encode,
    writes_field,
)
from langgraph_session_bridge.storage.hints import Layout
from langgraph_session_bridge.storage.lineages import OwnLineages
from langgraph_session_bridge.storage.pool import Pool
from langgraph_session_bridge.storage.thinned import thin
from langgraph_session_bridge.storage.work import Extend, Prepared

LIMITS = Limits(inline=128, ceiling=2**30)
STOCK = JsonPlusSerializer()


def text(number: int) -> str:
    return f"text {number} " * 40


@dataclass
class Thread:
    """A parent with pending writes and the checkpoint after it, laid out in memory."""

    serde: SerializerProtocol = STOCK
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    written: dict[str, Any] = field(default_factory=dict)
    extend: Extend = field(default_factory=lambda: OwnLineages().extend)

    def _store(self, prepared: Prepared) -> Prepared:
        for document in prepared.documents:
            self.stored[document.field] = decode(encode(document, "t", 0, len(self.stored)).raw)
        return prepared

    def write(self, *writes: tuple[str, Any], task: str = "task") -> None:
        work = WritesWork(
            serde=self.serde,
            fingerprints=Fingerprints(self.serde),
            thread_id="t",
            ns="",
            checkpoint_id="1",
            task_id=task,
            task_path="",
            writes=writes,
            limits=LIMITS,
        )
        self._store(work.prepare(None, self.extend))
        self.written |= work.written

    def work(self, id: str, values: Mapping[str, Any], known: Layout | None = None) -> CheckpointWork:
        versions = {channel: int(id) for channel in values}
        return CheckpointWork(
            serde=self.serde,
            fingerprints=Fingerprints(self.serde),
            thread_id="t",
            ns="",
            parent=str(int(id) - 1),
            checkpoint=checkpoint(values, versions, id=id),
            metadata={},
            filterable={},
            new_versions=versions,
            limits=LIMITS,
            known=known,
            written=self.written if id == "2" else {},
        )

    def put(self, id: str, values: Mapping[str, Any], known: Layout | None = None) -> Prepared:
        return self._store(self.work(id, values, known).prepare(known, self.extend))

    def pending(self) -> list[Any]:
        pool = Pool(self.stored)
        return decode_writes(Loader(self.serde, Templates(0)), pool.snapshot(0, checkpoint_field("", "1")))

    def thin(self, prepared: Prepared) -> set[str]:
        """Carries out what the put leaves to be done; the names of the sets of writes that it was done to."""
        for name, thinned in prepared.thinned.items():
            if thinned.replaces(self.stored[name]):
                self.stored[name]["w"] = list(thinned.rows)
        return set(prepared.thinned)

    def size(self) -> int:
        return sum(
            len(row["d"]) for name in self.stored if name[0] == "w" for row in self.stored[name]["w"] if "d" in row
        )


def begun(serde: SerializerProtocol = STOCK, **values: Any) -> tuple[Thread, Layout]:
    thread = Thread(serde=serde)
    prepared = thread.put("1", values or {"x": 1})
    return thread, Layout(generation=0, values=prepared.values)


def same(found: list[Any], expected: list[Any]) -> bool:
    return found == expected and types_of([write[2] for write in found]) == types_of([write[2] for write in expected])


def with_id(message: BaseMessage, id: str) -> BaseMessage:
    named = copy.deepcopy(message)
    named.id = id
    return named


SERDES: list[Callable[[], SerializerProtocol]] = [
    JsonPlusSerializer,
    lambda: EncryptedSerializer.from_pycryptodome_aes(key=b"0" * 16),
]


@pytest.mark.parametrize("make", SERDES, ids=["stock", "encrypted"])
@pytest.mark.parametrize("listed", [True, False], ids=["in a list", "alone"])
@pytest.mark.parametrize("named", ["by the node", "by the reducer"])
def test_a_message_is_stored_once(make: Callable[[], SerializerProtocol], listed: bool, named: str) -> None:
    thread, layout = begun(make(), messages=[HumanMessage(text(0), id="0")])
    message = AIMessage(text(1), id="1" if named == "by the node" else None)
    thread.write(("messages", [message] if listed else message))
    before = thread.pending()
    message.id = "1"  # as `add_messages` does, in place
    prepared = thread.put("2", {"messages": [HumanMessage(text(0), id="0"), message]}, layout)
    assert thread.thin(prepared)
    assert same(thread.pending(), before)
    assert before[0][2] == ([with_id(message, "1")] if listed else message) or named == "by the reducer"
    assert thread.size() == 0


def test_several_messages_keep_their_order_and_each_its_id_or_none() -> None:
    thread, layout = begun()
    first, second, third = AIMessage(text(1)), AIMessage(text(2), id="2"), HumanMessage(text(3))
    thread.write(("messages", [third, first, second, first]))
    before = thread.pending()
    state = [with_id(message, id) for message, id in ((first, "1"), (second, "2"), (third, "3"))]
    assert thread.thin(thread.put("2", {"messages": state}, layout))
    assert same(thread.pending(), before)
    assert [message.id for message in before[0][2]] == [None, None, "2", None]


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "a whole value": (text(1), {"c": text(1)}),
    "a whole model": (Note(text(1)), {"c": Note(text(1))}),
    "a tuple": ((text(1), text(2)), {"c": [text(1), text(2)]}),
    "a tuple as it is": ((text(1), text(2)), {"c": (text(1), text(2))}),
    "a tuple as an element": ((text(1), text(2)), {"c": [(text(1), text(2))]}),
    "a list of strings": ([text(1), text(2)], {"c": [text(0), text(1), text(2)]}),
    "items of a dictionary": ({"a": text(1)}, {"c": {"b": text(0), "a": text(1)}}),
    "an item as a list": (["a", text(1)], {"c": {"a": text(1)}}),
    "a list of items": ([["a", text(1)]], {"c": {"a": text(1)}}),
    "a dictionary for a list": ({"a": text(1)}, {"c": [["a", text(1)]]}),
    "an element among others": (text(1), {"c": [text(0), text(1), 1, None]}),
    "the same element twice": ([text(1), text(1)], {"c": [text(1), "x"]}),
    "in another channel": ([text(1)], {"d": [text(1)], "c": 1}),
    "bytes": ([b"x" * 300], {"c": [b"x" * 300]}),
    "a bytearray for bytes": ([b"x" * 300], {"c": [bytearray(b"x" * 300)]}),
    "True for 1": ([[text(1), 1]], {"c": [[text(1), True]]}),
    "half of it": ([text(1), text(2)], {"c": [text(1)]}),
    "nothing of it": ([text(1)], {"c": [text(2)]}),
    "a message with an artifact": (
        [ToolMessage(text(1), tool_call_id="1", artifact={1, 2}, id="a")],
        {"c": [ToolMessage(text(1), tool_call_id="1", artifact={1, 2}, id="a")]},
    ),
}
STAYS = {
    "a tuple",
    "a tuple as it is",
    "half of it",
    "nothing of it",
    "True for 1",
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_checkpoint_holds_is_referred_to_and_comes_back_the_same(case: str) -> None:
    value, values = CASES[case]
    thread, layout = begun()
    thread.write(("c", value))
    before, size = thread.pending(), thread.size()
    done = thread.thin(thread.put("2", values, layout))
    assert same(thread.pending(), before)
    assert bool(done) == (case not in STAYS)
    assert thread.size() == (0 if done else size)


def test_small_rows_stay_as_they_are_beside_large_ones() -> None:
    thread, layout = begun()
    thread.write(("x", 1), ("messages", [AIMessage(text(1), id="1")]), ("branch:to:tools", None), ("y", "small"))
    before = thread.pending()
    assert thread.thin(thread.put("2", {"messages": [AIMessage(text(1), id="1")], "x": 1}, layout))
    assert same(thread.pending(), before)


def test_a_set_of_writes_stays_as_long_as_one_of_its_large_rows_is_nowhere_else() -> None:
    thread, layout = begun()
    thread.write(("messages", [AIMessage(text(1), id="1")]), ("y", text(9)), task="a")
    thread.write(("messages", [AIMessage(text(2), id="2")]), task="b")
    before = thread.pending()
    state = [AIMessage(text(1), id="1"), AIMessage(text(2), id="2")]
    done = thread.thin(thread.put("2", {"messages": state}, layout))
    assert done == {writes_field("", "1", "b", "+1")}
    assert same(thread.pending(), before)


def test_small_and_control_writes_leave_nothing_to_be_done() -> None:
    thread, layout = begun()
    thread.write(("x", 1), ("y", "small"), task="a")
    thread.write((INTERRUPT, [text(1)]), task="b")
    assert thread.written == {}
    assert not thread.put("2", {"x": 1, "y": [text(1)]}, layout).thinned


def test_what_the_parent_holds_already_is_not_taken_for_what_the_checkpoint_stores() -> None:
    thread, layout = begun(messages=[text(1)])
    thread.write(("messages", [text(1)]))
    before = thread.pending()
    thread.thin(thread.put("2", {"messages": [text(1), text(2)]}, layout))
    assert same(thread.pending(), before)


def test_a_message_that_was_changed_after_it_was_written_is_another_one() -> None:
    thread, layout = begun()
    message = AIMessage(text(1))
    thread.write(("messages", [message]))
    before = thread.pending()
    message.id, message.content = "1", text(2)
    assert not thread.thin(thread.put("2", {"messages": [message]}, layout))
    assert same(thread.pending(), before) and before[0][2][0].content == text(1)


def test_a_message_that_is_changed_while_it_is_put_is_what_it_was() -> None:
    """The graph goes on while a put is on its way; laying it out again must not look at the live object."""
    thread, layout = begun()
    message, other = AIMessage(text(1), id="1"), AIMessage(text(2))
    thread.write(("messages", [other]))
    before = thread.pending()
    work = thread.work("2", {"messages": [message]}, layout)
    message.content = text(2)
    prepared = thread._store(work.prepare(layout, thread.extend))
    thread.thin(prepared)
    assert same(thread.pending(), before), "what is stored as element is the first text, not the second"


def test_only_what_the_last_try_stores_is_referred_to() -> None:
    """A try that was refused stored nothing; the next one may find that the parent holds all of it."""
    thread, layout = begun(messages=[text(1)])
    thread.write(("messages", [text(1)]))
    before = thread.pending()
    work = thread.work("2", {"messages": [text(1)]}, None)
    work.prepare(None, thread.extend)
    thread.thin(thread._store(work.prepare(layout, thread.extend)))
    assert same(thread.pending(), before)


def test_an_element_that_is_serialised_late_is_not_referred_to() -> None:
    """Only the first try trusted the parent to have it; meanwhile it may have been changed."""
    entry = {"k": text(1)}
    thread, layout = begun(messages=[dict(entry)])
    thread.write(("messages", [dict(entry), text(2)]), task="a")
    thread.write(("messages", [text(2)]), task="b")
    before = thread.pending()
    work = thread.work("2", {"messages": [entry, text(2)]}, layout)
    entry["k"] = text(3)
    done = thread.thin(thread._store(work.prepare(None, thread.extend)))
    assert same(thread.pending(), before)
    assert done == {writes_field("", "1", "b", "+1")}


def test_a_try_whose_answer_was_lost_is_repeated_with_the_same_names() -> None:
    """The first may have arrived: what is remembered of the second must be what the first stored."""
    thread, layout = begun()
    work = thread.work("2", {"messages": [text(1)]}, layout)
    first, second = (work.prepare(layout, lambda *_: True) for _ in range(2))
    assert [document.field for document in first.documents] == [document.field for document in second.documents]


elements = st.sampled_from(
    [
        *[text(number) for number in range(3)],
        *[HumanMessage(text(number), id=id) for number in range(2) for id in (None, "1")],
        {"k": text(1)},
        [text(1)],
        ["k", text(1)],
        (text(1),),
        b"x" * 200,
        1,
        None,
        "small",
        Note(text(1)),
    ]
)
values = (
    st.lists(elements, max_size=4)
    | st.dictionaries(st.sampled_from(["k", "l"]), elements, max_size=2)
    | st.lists(elements, max_size=2).map(tuple)
    | elements
)
states = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def named(state: dict[str, Any]) -> dict[str, Any]:
    """The state as its reducers leave it: every message has an id."""
    state = copy.deepcopy(state)
    for value in state.values():
        for element in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(element, BaseMessage):
                element.id = element.id or "named"
    return state


@given(
    states,
    st.lists(st.lists(st.tuples(st.sampled_from("abc"), values), min_size=1, max_size=3), min_size=1, max_size=3),
    states,
)
def test_whatever_is_written_and_put_writes_stay_what_they_were(
    first: dict[str, Any], writes: list[list[tuple[str, Any]]], second: dict[str, Any]
) -> None:
    thread, layout = begun(**copy.deepcopy(first))
    for number, rows in enumerate(writes):
        thread.write(*copy.deepcopy(rows), task=f"task-{number}")
    before = thread.pending()
    assert [write[1] for write in before] == [channel for rows in writes for channel, _ in rows]
    thread.thin(thread.put("2", named(second), layout))
    assert same(thread.pending(), before)


# In a batch on its way to the archive


def encoded(name: str, rows: list[dict[str, Any]], thread_id: str = "t", generation: int = 0) -> Encoded:
    made = Document(field=name, header={"k": "1", "n": "", "a": "task", "h": ""}, payload={"w": rows}, first_wins=True)
    return encode(made, thread_id, generation, 7)


NAME = writes_field("", "1", "task", "+1")
FULL = [{"i": 0, "c": "c", "y": "msgpack", "d": b"x" * 300}]
THIN = [{"i": 0, "c": "c", "o": "p/1"}]
REWRITTEN = Thinned(rows=THIN, digest=content_digest({"w": FULL}))


def chore(thread_id: str = "t", generation: int = 0) -> Chore:
    return Chore(thread_id=thread_id, generation=generation, ns="", checkpoint_id="2", thinned={NAME: REWRITTEN})


def test_a_batch_is_thinned_by_the_chores_of_its_checkpoints() -> None:
    other = encode(Document(field="c//2", header={"c": "2"}, payload={}), "t", 0, 8)
    wanted = chore()
    made, done = thin([encoded(NAME, FULL), other], [wanted])
    before, after = decode(encoded(NAME, FULL).raw), decode(made[0].raw)
    assert after == {**before, "w": THIN} and list(after)[:3] == ["_id", "q", "t"]
    assert (made[0].field, made[0].first_wins) == (NAME, True)
    assert made[1] == other
    assert done == [(wanted, NAME)]
    assert wanted.thinned == {NAME: REWRITTEN}, "done only once the batch is stored"


@pytest.mark.parametrize("other", [chore(thread_id="u"), chore(generation=1)], ids=["thread", "generation"])
def test_writes_of_the_same_name_elsewhere_stay(other: Chore) -> None:
    documents = [encoded(NAME, FULL)]
    assert thin(documents, [other]) == (documents, [])


def test_writes_that_another_call_stored_first_stay() -> None:
    """The first ordinary write counts: what this process wanted to write was never stored."""
    documents = [encoded(NAME, [{"i": 0, "c": "c", "y": "msgpack", "d": b"y" * 300}])]
    assert thin(documents, [chore()]) == (documents, [])


def test_without_chores_a_batch_is_left_alone() -> None:
    documents = [encoded(NAME, FULL)]
    assert thin(documents, []) == (documents, [])
    assert thin(documents, [Chore(thread_id="t", generation=0, ns="", checkpoint_id="2")]) == (documents, [])


def test_writes_that_are_continued_in_chunks_are_left_for_later() -> None:
    """The chunks may be stored already, and the tidier removes them with what named them."""
    thread, _ = begun()
    thread.write(("c", b"x" * (CHUNK_BYTES + 1)))
    chunked = next(row for name, row in thread.stored.items() if name == NAME)
    assert "x" in chunked
    documents = [encode(Document(field=NAME, header={}, payload={"x": chunked["x"]}), "t", 0)]
    assert thin(documents, [chore()]) == (documents, [])
