"""LangGraph's own conformance suite: all eight capabilities, every backend, every ack level."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.conformance.report import CapabilityReport, ProgressCallbacks

from .model import ModelSaver


async def conformance(name: str, enter: Any) -> tuple[CapabilityReport, list[str]]:
    """The report, and one readable entry for each failed clause."""

    async def factory() -> AsyncIterator[BaseCheckpointSaver[str]]:
        opened: AbstractAsyncContextManager[BaseCheckpointSaver[str]] = enter()
        async with opened as saver:
            yield saver

    failures: list[str] = []

    def note(capability: str, test: str, passed: bool, error: str | None) -> None:
        if not passed:
            failures.append(f"{capability}::{test}\n{error}")

    registered = checkpointer_test(name=name)(factory)
    report = await validate(registered, progress=ProgressCallbacks(on_test_result=note))
    return report, failures


def assert_full(report: CapabilityReport, failures: list[str]) -> None:
    assert not failures, "\n\n".join(failures)
    missing = [c.value for c in Capability if not report.results[c.value].detected]
    assert not missing, f"capabilities not detected on the class: {missing}"
    assert [c.value for c in Capability if report.results[c.value].passed is not True] == []
    assert report.conformance_level() == "FULL"


@pytest.mark.bridge_only
@pytest.mark.parametrize("ack", [None, "cache", "aof", "majority", "auto"])
async def test_full_conformance_at_every_ack_level(make_saver: Any, backend: str, ack: str | None) -> None:
    if ack is not None and not backend.startswith("redis+"):
        pytest.skip("ack levels are told apart only with Redis")
    settings = {} if ack is None else {"ack": ack}
    report, failures = await conformance(f"{backend}-{ack}", lambda: make_saver(**settings))
    assert_full(report, failures)


async def test_the_model_of_this_suite_is_itself_conformant(backend: str) -> None:
    if backend != "memory-reference":
        pytest.skip("proven once, on the reference backend")
    report, failures = await conformance("model", ModelSaver)
    assert_full(report, failures)
