"""What a process knows to be in the journal alone: the newest counts, in whatever order it was acknowledged."""

from __future__ import annotations

from langgraph_session_bridge.storage.breaker import Breaker
from langgraph_session_bridge.storage.hints import Hints
from langgraph_session_bridge.storage.protocols import Entry
from langgraph_session_bridge.storage.shared import Shared


def flushed(counter: int) -> Entry:
    return Entry(
        id="1-0",
        thread_id="t",
        generation=0,
        epoch=1,
        counter=counter,
        kind="r",
        ns="",
        checkpoint_id="",
        size=1,
        replaced=(),
        firsts=(),
    )


def test_an_older_put_that_is_acknowledged_later_does_not_hide_the_newer() -> None:
    shared = Shared(hints=Hints(10, 1000), breaker=Breaker(0.1, 1.0))
    shared.note_unflushed(0, "t", "", 5)
    shared.note_unflushed(0, "t", "", 4)
    shared.note_flushed([flushed(4)])
    assert shared.is_unflushed("t", "")
    shared.note_flushed([flushed(5)])
    assert not shared.is_unflushed("t", "")
