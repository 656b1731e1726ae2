"""Records as they are read: stable names, fields of later versions survive, other names only at the edge."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.models import (
    ContextDocument,
    ContextInjectionRecord,
    EventRecord,
    ToolError,
    ToolExecutionRecord,
)

CAPTURE = Capture()


def test_a_tool_execution_has_the_names_of_open_telemetry_at_the_edge() -> None:
    record = ToolExecutionRecord(
        id="r",
        thread_id="t",
        session_id="s",
        user_id="u",
        run_id="r",
        tool_name="weather",
        tool_call_id="c",
        status="error",
        attempt=2,
        arguments=CAPTURE.take({"city": "Paris", "api_key": "x"}),
        error=ToolError(type="ValueError", message="no"),
        tags=["a", "b"],
        graph_step=3,
    )
    found = record.to_otel_attributes()
    assert found["gen_ai.operation.name"] == "execute_tool"
    assert found["gen_ai.tool.name"] == "weather" and found["gen_ai.tool.type"] == "function"
    assert found["gen_ai.tool.call.id"] == "c"
    assert found["gen_ai.tool.call.arguments"] == '{"api_key":"<redacted>","city":"Paris"}'
    assert found["gen_ai.conversation.id"] == "t" and found["session.id"] == "s" and found["user.id"] == "u"
    assert found["error.type"] == "ValueError" and found["exception.message"] == "no"
    assert found["session_bridge.status"] == "error" and found["session_bridge.attempt"] == 2
    assert found["tag.tags"] == ["a", "b"]
    assert "gen_ai.tool.call.result" not in found and "gen_ai.agent.name" not in found


def test_a_retrieval_has_the_names_of_open_telemetry_at_the_edge() -> None:
    record = ContextInjectionRecord(
        id="r",
        thread_id="t",
        kind="retrieval",
        source="kb",
        query=CAPTURE.text("who?"),
        documents=[ContextDocument(id="1", score=0.5, content="secret plans"), ContextDocument(id="2")],
    )
    found = record.to_otel_attributes()
    assert found["gen_ai.operation.name"] == "retrieval"
    assert found["gen_ai.data_source.id"] == "kb" and found["gen_ai.retrieval.query.text"] == "who?"
    assert json.loads(str(found["gen_ai.retrieval.documents"])) == [{"id": "1", "score": 0.5}, {"id": "2"}]
    assert "gen_ai.operation.name" not in ContextInjectionRecord(id="r", thread_id="t").to_otel_attributes()


def test_an_event_shows_what_is_plain_in_its_data() -> None:
    found = EventRecord(id="r", thread_id="t", name="run.failed", data={"n": 1, "more": {}}).to_otel_attributes()
    assert found["event.name"] == "run.failed" and found["session_bridge.data.n"] == 1
    assert "session_bridge.data.more" not in found


def test_every_attribute_has_a_type_that_open_telemetry_takes() -> None:
    record = ToolExecutionRecord(id="r", thread_id="t", tool_name="w", result=CAPTURE.take([1]), graph_node="n")
    for value in record.to_otel_attributes().values():
        assert isinstance(value, (str, int, float, bool)) or all(isinstance(item, str) for item in value)


def test_fields_of_a_later_version_survive() -> None:
    record = ToolExecutionRecord.model_validate(
        {
            "id": "r",
            "thread_id": "t",
            "tool_name": "w",
            "schema_version": 2,
            "mood": "good",
            "error": {"type": "E", "x": 1},
        }
    )
    dumped = record.model_dump(exclude_unset=True)
    assert dumped["mood"] == "good" and dumped["schema_version"] == 2 and dumped["error"]["x"] == 1


def test_records_cannot_be_changed_and_times_are_exported_with_a_z() -> None:
    record = EventRecord(id="r", thread_id="t", name="n", at=datetime(2026, 1, 2, tzinfo=UTC))
    with pytest.raises(ValidationError):
        record.name = "m"  # type: ignore[misc]
    assert record.model_dump(mode="json")["at"] == "2026-01-02T00:00:00Z"
