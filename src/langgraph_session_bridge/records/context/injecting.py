"""`inject_context` and `ainject_context`: a node or a tool tells what else it put before the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, get_async_callback_manager_for_config

from langgraph_session_bridge.errors import OutsideRunError
from langgraph_session_bridge.records.contexts import CONTEXT_INJECTED, checked_kind, checked_score, record_id
from langgraph_session_bridge.records.models import ContextKind


def inject_context(
    content: str | None = None,
    *,
    kind: ContextKind = "other",
    source: str | None = None,
    query: str | None = None,
    documents: Iterable[Any] = (),
    label: str | None = None,
    score: float | None = None,
    tokens: int | None = None,
    target: Mapping[str, Any] | None = None,
    displayed: bool = True,
    dedup_key: str | None = None,
    trigger_message_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    config: RunnableConfig | None = None,
) -> str:
    """Records that something was put before the model; to be called in a node or a tool, beside doing it.

    It dispatches a LangChain custom event, `session_bridge.context_injected`: whoever recorders are attached to the run
    records it, and `astream_events` shows it.

    Args:
        content: What the model is told.
        kind: What it is.
        source: Name of the knowledge base, service or adapter.
        query: What was asked for.
        documents: What it consists of: LangChain documents, or mappings like `ContextDocument`.
        label: For a classification: the class.
        score: Confidence or relevance, from 0 to 1.
        tokens: How many tokens it is.
        target: Where it was put, as `ContextTarget`.
        displayed: False if it is not to be shown in a transcript.
        dedup_key: What has the same key in a thread is one record, for example when a node runs again.
        trigger_message_id: The message that it is an answer to.
        metadata: Anything else.
        config: The run's config, where it is not found by itself.

    Returns:
        Id of the record.

    Raises:
        OutsideRunError: There is no run to record it for.
        InvalidInputError: `kind` or `score` is out of range.
    """
    event = _event(
        content=content,
        kind=kind,
        source=source,
        query=query,
        documents=documents,
        label=label,
        score=score,
        tokens=tokens,
        target=target,
        displayed=displayed,
        dedup_key=dedup_key,
        trigger_message_id=trigger_message_id,
        metadata=metadata,
    )
    _check_inside_a_run("inject_context", config)
    dispatch_custom_event(CONTEXT_INJECTED, event, config=config)
    return str(event["id"])


async def ainject_context(
    content: str | None = None,
    *,
    kind: ContextKind = "other",
    source: str | None = None,
    query: str | None = None,
    documents: Iterable[Any] = (),
    label: str | None = None,
    score: float | None = None,
    tokens: int | None = None,
    target: Mapping[str, Any] | None = None,
    displayed: bool = True,
    dedup_key: str | None = None,
    trigger_message_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    config: RunnableConfig | None = None,
) -> str:
    """`inject_context` for coroutines: arguments, result and errors are the same."""
    event = _event(
        content=content,
        kind=kind,
        source=source,
        query=query,
        documents=documents,
        label=label,
        score=score,
        tokens=tokens,
        target=target,
        displayed=displayed,
        dedup_key=dedup_key,
        trigger_message_id=trigger_message_id,
        metadata=metadata,
    )
    _check_inside_a_run("ainject_context", config)
    await adispatch_custom_event(CONTEXT_INJECTED, event, config=config)
    return str(event["id"])


def _event(
    *, kind: str, score: float | None, documents: Iterable[Any], dedup_key: str | None, **given: Any
) -> dict[str, Any]:
    event = {
        "id": record_id(dedup_key),
        "kind": checked_kind(kind),
        "score": checked_score(score),
        "documents": list(documents) or None,
        "dedup_key": dedup_key,
        **given,
    }
    return {name: value for name, value in event.items() if value is not None}


def _check_inside_a_run(name: str, config: RunnableConfig | None) -> None:
    if get_async_callback_manager_for_config(ensure_config(config)).parent_run_id is None:
        message = (
            f"{name}() was called outside of any run, so nobody can tell which session it belongs to. Call it in a "
            "node or a tool (or pass config=); outside of graphs there is record_context_injection(session, ...)."
        )
        raise OutsideRunError(message)
