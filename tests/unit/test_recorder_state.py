"""What the recorder remembers of runs is bounded, and what it says of a place is plain and redacted."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.happenings import told
from langgraph_session_bridge.records.recorder.idempotency import idempotency_key
from langgraph_session_bridge.records.recorder.places import Ids, place, task_of
from langgraph_session_bridge.records.recorder.runs import Runs
from langgraph_session_bridge.records.tools import end_facet, start_facet, tool_records
from langgraph_session_bridge.storage.facets import StoredRecord, packed

THREAD = {"thread_id": "t"}
IDS = Ids(run_id="r", parent_run_id=None, root_run_id="r")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def new() -> uuid.UUID:
    return uuid.uuid4()


def test_runs_that_never_end_are_forgotten_at_a_bound() -> None:
    runs = Runs(max_runs=100)
    root = new()
    runs.begin(root, None, THREAD)
    for _ in range(1000):
        runs.begin(new(), root, THREAD)
    assert len(runs) == 100 and runs.forgotten == 901
    assert runs.get(root) is None and runs.end(root) is None


def test_what_a_root_run_left_behind_goes_with_it() -> None:
    runs = Runs(max_orphans=2)
    root, others = new(), [new() for _ in range(5)]
    runs.begin(root, None, THREAD)
    for other in others:
        run = runs.begin(other, root, THREAD)
        assert run is not None
        run.outlives = True
    ended = runs.end(root)
    assert ended is not None
    runs.left_of(ended)
    assert len(runs) == 2
    for other in others:
        runs.end(other)
    assert len(runs) == 0


def test_a_run_knows_its_thread_root_and_node() -> None:
    runs = Runs()
    root, node, inner, tool, elsewhere = new(), new(), new(), new(), new()
    runs.begin(root, None, THREAD)
    runs.begin(node, root, THREAD, ["graph:step:1"], given="given")
    runs.begin(inner, node, THREAD, ["seq:step:1"])
    found = runs.begin(tool, inner, {})
    assert found is not None and found.thread_id == "t"
    assert found.node is runs.get(node) and found.root is runs.get(root)
    assert runs.begin(elsewhere, inner, {"thread_id": "u"}).root is None  # type: ignore[union-attr]
    assert runs.begin(new(), None, {}) is None


def test_metadata_of_the_application_is_kept_redacted_and_can_be_stored() -> None:
    metadata: dict[str, Any] = {
        "thread_id": "t",
        "session_id": 7,
        "tenant": "acme",
        "api_key": "sk-1",
        "pin": 12,
        "token": 12345,
        "huge": 2**80,
        "ratio": 0.5,
        "flag": True,
        "odd\0name\ud800": "x\ud800",
        "object": object(),
        "langgraph_path": ("__pregel_push", ("a", 1), False),
        "langgraph_checkpoint_ns": "child:1|tools:2",
        "lc_versions": "x",
    }
    found = place(IDS, metadata, ["seq:step:1", "mine"], Capture())
    packed([start_facet("r", tool_name="x", call="c", started_at=NOW, **found)])
    assert found["session_id"] == "7" and found["task_id"] == "2" and found["tags"] == ["mine"]
    kept = found["metadata"]
    assert {name: kept[name] for name in ("tenant", "pin", "ratio", "flag")} == {
        "tenant": "acme",
        "pin": 12,
        "ratio": 0.5,
        "flag": True,
    }
    assert "sk-1" not in str(found) and "12345" not in str(found) and kept["huge"] == str(2**80)
    assert not {"object", "thread_id", "lc_versions"} & set(kept) and found["graph_path"] == [
        "__pregel_push",
        ["a", 1],
        False,
    ]
    assert "metadata" not in place(IDS, metadata, None, Capture(level="none"))


def test_metadata_is_bounded() -> None:
    found = place(IDS, {f"k{n}": "x" for n in range(1000)}, [f"t{n}" for n in range(1000)], Capture())
    assert len(found["metadata"]) == len(found["tags"]) == 32


@pytest.mark.parametrize(("namespace", "task"), [(None, None), ("", None), ("a:1", "1"), ("a:1|b:2", "2")])
def test_the_task_is_the_last_part_of_the_namespace(namespace: str | None, task: str | None) -> None:
    assert task_of(namespace) == task


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_error_is_told_redacted_with_where_it_was_raised() -> None:
    def fail(error: Exception) -> dict[str, Any]:
        try:
            raise error
        except Exception as raised:
            return told(raised, Capture())

    one, two = (fail(ValueError(f"{n} Bearer abcdefghijklmnopqrstuvwxyz0123456789")) for n in range(2))
    assert one["type"] == "ValueError" and "abcdefghijklmnop" not in one["message"]
    assert one["traceback_digest"] == two["traceback_digest"]
    assert fail(Unspeakable())["message"].endswith("has no text>")
    assert "traceback_digest" not in told(ValueError(), Capture())


def test_an_end_whose_start_was_lost_still_reads() -> None:
    start = start_facet("r", tool_name="add", call="c", started_at=NOW, tool_call_id="c1")
    stored = StoredRecord(thread_id="t", kind="tool", id="r").with_facet(end_facet(start, "success", NOW))
    (record,) = tool_records([stored])
    assert record.tool_name == "add" and record.status == "success" and record.started_at == NOW


def test_an_idempotency_key_needs_a_call_and_a_task() -> None:
    config: Any = {"metadata": {"thread_id": "t", "langgraph_checkpoint_ns": "tools:1"}}
    key = idempotency_key(config, "c1")
    assert key == idempotency_key(config, "c1") != idempotency_key(config, "c2")
    other: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": "tools:1"}}
    assert idempotency_key(other, "c1") == key
    with pytest.raises(InvalidInputError, match="tool_call_id"):
        idempotency_key(config)
    with pytest.raises(InvalidInputError, match="task"):
        idempotency_key({"metadata": {}}, "c1")
