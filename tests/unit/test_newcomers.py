"""Messages that a checkpoint added to its parent's, from the two alone."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage

from langgraph_session_bridge.sessions.following.newcomers import Newcomers


def checkpoint(name: str, **lists: Any) -> Any:
    return {"id": name, "channel_values": lists, "channel_versions": dict.fromkeys(lists, name)}


def said(*ids: str | None) -> list[Any]:
    return [HumanMessage("x", id=known) for known in ids]


def test_what_the_parent_lacks_is_new() -> None:
    known = Newcomers()
    assert known.added("t", "", checkpoint("1", m=said("a", "b"))) == 2
    assert known.added("t", "1", checkpoint("2", m=said("a", "b", "c"))) == 1
    assert known.added("t", "2", checkpoint("3", m=said("c", "a"))) == 0, "removed and moved"
    assert known.added("t", "3", checkpoint("4", m=said("c", "a", "d", "d", "a"))) == 1, "one id is one message"
    assert known.added("t", "2", checkpoint("5", m=said("a", "b", "c", "e"))) == 1, "another branch"
    assert known.added("t", "5", checkpoint("6", m=[])) == 0


def test_one_message_in_two_lists_is_one() -> None:
    known = Newcomers()
    assert known.added("t", "", checkpoint("1", m=said("a"), view=said("a"), n=[1, 2], other="x")) == 1
    assert known.added("t", "1", checkpoint("2", m=said("a", "b"), view=said("b", "c"))) == 2
    both = checkpoint("3", m=said("a", "b"), view=said("b", "c", "d"))
    both["channel_versions"]["m"] = "2"
    assert known.added("t", "2", both) == 1


def test_nothing_is_counted_of_an_unknown_parent() -> None:
    known = Newcomers()
    assert known.added("t", "0", checkpoint("1", m=said("a", "b"))) == 0
    assert known.added("t", "1", checkpoint("2", m=said("a", "b", "c"))) == 1
    known.seen("t", checkpoint("9", m=said("x")))
    assert known.added("t", "9", checkpoint("10", m=said("x", "y"))) == 1


def test_summaries_and_removals_are_no_messages_and_ids_may_be_missing() -> None:
    known = Newcomers()
    summary = HumanMessage("s", id="s", additional_kwargs={"lc_source": "summarization"})
    assert known.added("t", "", checkpoint("1", m=[summary, RemoveMessage(id="z"), *said("a")])) == 1
    assert known.added("u", "", checkpoint("1", m=said(None, None))) == 2
    assert known.added("u", "1", checkpoint("2", m=said(None, None, None))) == 1
    assert known.added("v", "", checkpoint("1", m=["plain", AIMessage("b", id="b")])) == 1


def test_what_is_remembered_is_bounded() -> None:
    known = Newcomers(most_ids=50)
    for n in range(100):
        known.seen(f"t{n}", checkpoint("1", m=said(*map(str, range(10)))))
    assert known._size <= 50 and list(known._known) == [f"t{n}" for n in range(96, 100)]
    for n in range(10):
        known.seen("t99", checkpoint(str(n), m=said("a")))
    assert len(known._known["t99"]) == 4
    assert known._size == sum(
        1 + sum(len(h.hashes) for h in c.values()) for t in known._known.values() for c in t.values()
    )
