"""What an application that listens by OpenTelemetry gets of puts, reads and flushes, and that it gets no content."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import Any

import pytest
from contract.build import at, chain, checkpoint, listed, meta
from faults.harness import wait_until
from graphs.builders import chat
from listening import Listener
from opentelemetry.sdk.trace import ReadableSpan

from langgraph_session_bridge.telemetry import Telemetry

from .test_secrets import SECRET

NEVER = {"flush_interval_s": 3600.0, "flush_poll_s": 3600.0}


@pytest.fixture
def backend() -> str:
    return "redis+pymongo"


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Without the library's name."""
    return {name.removeprefix("langgraph_session_bridge."): value for name, value in (span.attributes or {}).items()}


def parent_of(span: ReadableSpan, spans: list[ReadableSpan]) -> str | None:
    """Name of the parent; `None` for a root."""
    if span.parent is None:
        return None
    return next(s.name for s in spans if s.context and span.parent and s.context.span_id == span.parent.span_id)


async def test_spans_and_metrics_say_what_was_done(make_saver: Any, listener: Listener, store: str) -> None:
    async with make_saver(**NEVER) as saver:
        configs = await chain(saver, "t", 3)
        await saver.aput_writes(configs[-1], [("x", "y" * 500)], "task")
        await saver.aget_tuple(at("t"))
        await saver.aget_tuple(at("cold"))
        unflushed = await saver.astats()
        await saver.aflush()
        await saver.aput(at("t2", ack="x"), checkpoint(), meta(), {})
        await saver.aprune(["t"])
        await saver.adelete_thread("t")
    puts = [attributes(span) for span in listener.spans("put")]
    assert [(put["thread_id"], put["kind"], put["ack"]) for put in puts] == [
        *[("t", "checkpoint", "cache")] * 3,
        ("t", "writes", "cache"),
        ("t2", "checkpoint", "cache"),
    ]
    assert sum(put["bytes"] for put in puts[:4]) == unflushed.unflushed_bytes
    assert [attributes(span)["temperature"] for span in listener.spans("get")] == ["hot", "cold"]
    flushed = [attributes(span) for span in listener.spans("flush")]
    assert (flushed[0]["entries"], flushed[0]["bytes"]) == (4, unflushed.unflushed_bytes)
    assert [attributes(span)["threads"] for span in listener.spans("prune")] == [1]
    assert [attributes(span)["thread_id"] for span in listener.spans("delete_thread")] == ["t"]
    assert {attributes(span)["db.namespace"] for span in listener.spans()} == {store}

    assert listener.value("put.duration", kind="checkpoint", ack="cache") == 4
    assert listener.value("put.duration", kind="writes", ack="cache") == 1
    assert [listener.value("reads", temperature=t) for t in ("hot", "cold")] == [1, 1]
    assert [listener.value("get.duration", temperature=t) for t in ("hot", "cold")] == [1, 1]
    assert listener.value("flush.entries") == 5 == sum(span["entries"] for span in flushed)
    assert listener.value("flush.size") == sum(span["bytes"] for span in flushed)
    assert listener.value("flush.duration") == len(flushed)
    assert {point["db.namespace"] for points in listener.points().values() for point, _ in points} == {store}


async def test_a_majority_put_says_so(make_saver: Any, listener: Listener) -> None:
    async with make_saver(**NEVER) as saver:
        await saver.aput(at("t"), checkpoint(), meta(), {})
        await saver.aput(at("t", __pregel_durability="sync"), checkpoint(), meta(), {})
        assert [attributes(span)["ack"] for span in listener.spans("put")] == ["cache", "majority"]
        spans = listener.spans()
        assert [parent_of(span, spans) for span in listener.spans("flush")] == ["langgraph_session_bridge.put"]


@pytest.mark.parametrize("synchronous", [False, True])
async def test_spans_are_children_of_the_callers(make_saver: Any, listener: Listener, synchronous: bool) -> None:
    """Synchronous calls are served in another thread, by another event loop."""
    async with make_saver(**NEVER) as saver:

        def everything() -> None:
            with listener.tracer.start_as_current_span("caller"):
                saver.put(at("t"), checkpoint(), meta(), {})
                saver.get_tuple(at("t"))
                assert len(list(saver.list(at("t")))) == 1
                saver.delete_thread("t")

        if synchronous:
            await asyncio.to_thread(everything)
        else:
            with listener.tracer.start_as_current_span("caller"):
                await saver.aput(at("t"), checkpoint(), meta(), {})
                await saver.aget_tuple(at("t"))
                assert len(await listed(saver, at("t"))) == 1
                await saver.adelete_thread("t")
        spans = listener.every_span()
        names = ["put", "get", "list", "delete_thread"]
        assert [parent_of(span, spans) for name in names for span in listener.spans(name)] == ["caller"] * 4
        assert [parent_of(span, spans) for span in listener.spans("flush")] == ["langgraph_session_bridge.list"]


def test_what_is_flushed_in_the_background_belongs_to_no_caller(make_saver: Any, listener: Listener) -> None:
    """Though a caller's put opened the saver."""
    with listener.tracer.start_as_current_span("caller"), make_saver.open(flush_interval_s=0.01) as saver:
        saver.put(at("t"), checkpoint(), meta(), {})
        wait_until(lambda: listener.spans("flush"), "it is flushed")
    assert [span.parent for span in listener.spans("flush")] == [None]


def test_gauges_show_the_backlog_that_the_flusher_saw_and_ask_no_server(make_saver: Any, listener: Listener) -> None:
    with make_saver.open(flush_interval_s=0.01, flush_poll_s=0.01) as saver:
        wait_until(lambda: listener.value("backlog.entries") == 0, "the flusher looked")
        assert listener.value("backlog.oldest_age") == 0
        reporting = saver._runtime.shared.telemetry
        wait_until(lambda: stored_while_seen(saver, reporting), "a backlog is seen")
        wait_until(lambda: listener.value("backlog.entries") == 0, "and its end")
    assert listener.value("backlog.entries") is None, "a closed saver is still reported"
    with make_saver.open(**NEVER) as saver:
        saver.put(at("t"), checkpoint(), meta(), {})
        assert listener.value("backlog.entries") is None, "an export asked a server"


def stored_while_seen(saver: Any, reporting: Telemetry) -> bool:
    """Puts, until the flusher happens to look between a put and its flush."""
    saver.put(at("t"), checkpoint({"x": "y" * 500}, {"x": 1}), meta(), {"x": 1})
    seen = reporting.backlog
    return seen is not None and seen.entries > 0 and seen.size > 500 and seen.born is not None


def test_nothing_of_what_is_put_is_reported_or_logged(
    make_saver: Any, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "langgraph_session_bridge")
    with make_saver.open(flush_interval_s=0.01) as saver:
        graph = chat(saver)
        config = {"configurable": {"thread_id": "t", "note": SECRET}, "metadata": {"more": SECRET}}
        graph.invoke({"messages": [("user", f"tool {SECRET}")]}, config)
        saver.put_writes(saver.get_tuple(at("t")).config, [(SECRET, SECRET)], SECRET)
        with pytest.raises(TypeError):
            saver.put(at("t"), checkpoint({"x": {SECRET: object()}}, {"x": 1}), meta(), {"x": 1})
        assert SECRET in str(graph.get_state(config)), "the search would see nothing"
        assert list(saver.list(at("t"), filter={"more": SECRET}))
        saver.flush()
        saver.compact(["t"])
        saver.prune(["t"])
        saver.delete_thread("t")
    reported = listener.exported() + "\n".join(str(record.__dict__) for record in caplog.records)
    assert '"t"' in reported and listener.spans("put")
    for secret in (SECRET, base64.b64encode(SECRET.encode()).decode()[:-4]):
        assert secret not in reported
