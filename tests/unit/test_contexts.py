"""Context injections as facets: what is told is captured, and nothing that can be handed over fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.contexts import (
    MAX_DOCUMENTS,
    checked_kind,
    checked_score,
    context_records,
    documents_of,
    end_facet,
    injected_facets,
    no_payload,
    payload_facet,
    record_id,
    start_facet,
)
from langgraph_session_bridge.records.models import ContextInjectionRecord
from langgraph_session_bridge.storage.facets import Batch, Facet, folded
from unit.records_twin import Memory

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FULL = Capture(level="full")


def read(*facets: Facet) -> ContextInjectionRecord:
    memory = Memory()
    memory.add("t", facets)
    (record,) = context_records(memory.records("t").values())
    return record


def test_what_was_told_reads_back() -> None:
    given = {
        "kind": "rag",
        "source": "kb",
        "query": "who?",
        "content": "Ann did.",
        "documents": [Document("Ann did.", id="7", metadata={"score": 0.5, "title": "Who", "source": "a.md"})],
        "label": "people",
        "score": 0.25,
        "tokens": 3,
        "displayed": False,
        "metadata": {"tenant": "x", "api_key": "secret"},
        "target": {"role": "system", "position": 0},
    }
    record = read(*injected_facets(given, FULL, id="r", origin="custom_event", at=NOW, run_id="run", graph_node="n"))
    assert (record.id, record.thread_id, record.kind, record.origin, record.status) == (
        "r",
        "t",
        "rag",
        "custom_event",
        "injected",
    )
    assert record.query is not None and record.query.text == "who?"
    assert record.content is not None and record.content.text == "Ann did."
    (document,) = record.documents
    assert (document.id, document.score, document.title, document.source, document.chars, document.content) == (
        "7",
        0.5,
        "Who",
        "a.md",
        8,
        "Ann did.",
    )
    assert document.sha256 == FULL.text("Ann did.").sha256
    assert (record.label, record.score, record.tokens, record.displayed) == ("people", 0.25, 3, False)
    assert record.metadata == {"tenant": "x", "api_key": "<redacted>"}
    assert record.target is not None and record.target.position == 0
    assert (record.injected_at, record.ended_at, record.run_id, record.graph_node) == (NOW, NOW, "run", "n")
    assert record.seq


@pytest.mark.parametrize(("level", "content"), [("none", None), ("digest", "x" * 256), ("full", "x" * 1000)])
def test_documents_are_kept_as_the_level_says(level: Any, content: str | None) -> None:
    (document,) = documents_of([Document("x" * 1000)], Capture(level=level))
    assert (document.get("content"), document["chars"]) == (content, 1000)
    assert document["sha256"] == FULL.text("x" * 1000).sha256


def test_documents_of_every_form_are_read() -> None:
    found = documents_of(
        [
            {"id": 5, "page_content": "a", "metadata": {"relevance_score": Decimal("0.75"), "url": "redis://u:p@h/"}},
            {"content": "b", "score": "much"},
            "c",
            None,
        ],
        FULL,
    )
    assert found[0]["id"] == "5" and found[0]["score"] == 0.75 and found[0]["source"] == "redis://u:<redacted>@h/"
    assert [document["chars"] for document in found] == [1, 1, 1, 0]
    assert "score" not in found[1]
    assert len(documents_of(["d"] * (MAX_DOCUMENTS + 1), FULL)) == MAX_DOCUMENTS


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just(object()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)


@given(
    given=st.dictionaries(
        st.sampled_from(
            ["kind", "content", "source", "query", "label", "score", "tokens", "target", "metadata", "dedup_key"]
        ),
        _values,
    ),
    documents=st.lists(_values | st.builds(lambda text, data: Document(text, metadata=data), st.text(), st.just({}))),
)
def test_whatever_an_event_holds_can_be_stored_and_read(given: dict[str, Any], documents: list[Any]) -> None:
    read(start_facet({**given, "documents": documents}, FULL, id="r", origin="custom_event"))


def test_numbers_and_names_that_bson_cannot_hold_are_left_out() -> None:
    given = {"score": 10**400, "tokens": 2**80, "target": {"position": 2**70, "a\0": 1, "role": "user"}, "label": 5}
    record = read(start_facet(given, FULL, id="r", origin="custom_event"))
    assert (record.score, record.tokens, record.label) == (None, None, "5")
    assert record.target is not None and (record.target.role, record.target.position) == ("user", None)


_facets = st.permutations(
    [
        start_facet({"kind": "memory", "content": "x"}, FULL, id="r", origin="api", queued_at=NOW),
        payload_facet("r", "x", "system"),
        no_payload("r"),
        end_facet("r", "expired", NOW + timedelta(hours=9)),
        end_facet("r", "dropped", NOW + timedelta(hours=8)),
        end_facet("r", "injected", NOW),
        end_facet("r", "injected", NOW + timedelta(seconds=1)),
    ]
)


@given(order=_facets, again=_facets)
def test_in_whatever_order_and_however_often_facets_arrive_the_record_is_the_same(
    order: list[Facet], again: list[Facet]
) -> None:
    batches = [
        Batch(thread_id="t", generation=0, sequence=n, facets=[facet]) for n, facet in enumerate([*order, *again], 1)
    ]
    (record,) = folded("t", batches).values()
    (told,) = context_records([record])
    assert (told.status, told.injected_at, told.kind) == ("injected", NOW + timedelta(seconds=1), "memory")
    assert record["payload"] == {}


def test_the_source_of_what_was_told_shows_no_password() -> None:
    start = start_facet({"source": "redis://u:hunter2@h/"}, Capture(level="none"), id="r", origin="api")
    assert read(start).source == "redis://u:<redacted>@h/"


def test_a_key_names_one_record_and_without_one_each_is_its_own() -> None:
    assert record_id("k") == record_id("k") != record_id("l")
    assert record_id() != record_id()


def test_wrong_kinds_and_scores_are_refused() -> None:
    assert checked_kind("rag") == "rag" and checked_score(1) == 1.0 and checked_score(None) is None
    with pytest.raises(InvalidInputError, match="retrieval, rag"):
        checked_kind("ragtime")
    for score in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidInputError):
            checked_score(score)
