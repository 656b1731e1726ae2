"""Entering records by hand: what happened outside of graphs, and kinds of an application's own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.ids import checked_id
from langgraph_session_bridge.moments import moment
from langgraph_session_bridge.records import contexts, happenings, tools
from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.custom import CustomKinds
from langgraph_session_bridge.records.models import ContextKind
from langgraph_session_bridge.records.outbox import Outbox, Receipt
from langgraph_session_bridge.records.session_ids import SessionLike, session_of
from langgraph_session_bridge.settings import Level

Told = Literal["started", "success", "error", "interrupted", "abandoned", "unknown"]
"""What can be said of a tool that ran outside of graphs."""


class Entries:
    """The part of `Ledger` that writes. Everything is handed over at once; a `Receipt` tells when it is stored."""

    def __init__(self, outbox: Outbox, capture: Capture, *, owner: str) -> None:
        """Writes into an outbox, for a process."""
        self._outbox = outbox
        self._capture = capture
        self._owner = owner
        self._custom = CustomKinds()

    @property
    def capture(self) -> Capture:
        """How values are captured, and what is redacted of them."""
        return self._capture

    def record_tool_execution(
        self,
        session: SessionLike,
        tool_name: str,
        *,
        arguments: Any = None,
        result: Any = None,
        status: Told = "success",
        error: BaseException | None = None,
        tool_call_id: str | None = None,
        started_at: datetime | None = None,
        ended_at: datetime | None = None,
        record_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        level: Level | None = None,
    ) -> Receipt:
        """Records a tool that ran outside of LangGraph.

        To have it on record before it runs, call this with `status="started"` and a `record_id`, await the receipt, and
        call it again with the same `record_id` and how it ended.

        Args:
            session: The session, or its id.
            tool_name: The tool.
            arguments: What it was called with, captured as for tools in graphs.
            result: What it returned.
            status: How it ended; `error` if an `error` is given.
            error: Why it failed.
            tool_call_id: Id of the model's call; several records with the same id are attempts of one call.
            started_at: With a time zone; now by default, or `ended_at`.
            ended_at: With a time zone; now by default.
            record_id: Names the execution within the session; the same again is another word on the same execution.
            metadata: Further plain values.
            level: When the receipt is done; `record_ack` by default.

        Raises:
            InvalidInputError: The session, tool or a time cannot be used; nothing was recorded.
            BacklogFullError: The outbox is full, and `record_strict` is set.
        """
        checked_id("tool_name", tool_name)
        if status not in ("started", *tools.END_STATUSES):
            raise InvalidInputError(
                f"A tool execution cannot be {status!r}; there are started, {', '.join(tools.END_STATUSES)}."
            )
        ids, now = session_of(session), datetime.now(UTC)
        name = _name(record_id)
        if tool_call_id is not None:
            checked_id("tool_call_id", tool_call_id)
        ended = moment("ended_at", ended_at) or now
        began = moment("started_at", started_at) or min(now, ended)
        start = tools.start_facet(
            name,
            tool_name=tool_name,
            call=tools.call_key(ids.thread_id, "", tool_call_id) if tool_call_id else name,
            tool_call_id=tool_call_id,
            started_at=began,
            origin="api",
            owner=self._owner,
            arguments=None if arguments is None else self._taken(arguments),
            metadata=self._metadata(metadata),
            **ids.fields,
        )
        facets = [start]
        if status != "started" or error is not None:
            fields: dict[str, Any] = {"result": None if result is None else self._taken(result)}
            if error is not None:
                status, fields["error"] = "error", happenings.told(error, self._capture)
            assert status != "started"
            if started_at is not None:  # else the start may have been told before: what is read knows both
                fields["duration_s"] = max(0.0, (ended - began).total_seconds())
            facets.append(tools.end_facet(start, status, ended, **fields))
        return self._outbox.add(ids.thread_id, facets, level=level)

    def record_context_injection(
        self,
        session: SessionLike,
        kind: ContextKind,
        content: Any = None,
        *,
        source: str | None = None,
        query: str | None = None,
        documents: Sequence[Any] = (),
        label: str | None = None,
        score: float | None = None,
        displayed: bool = True,
        record_id: str | None = None,
        dedup_key: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        level: Level | None = None,
    ) -> Receipt:
        """Records that a model was told something, for code outside of graphs (inside, use `inject_context`).

        Args:
            session: The session, or its id.
            kind: What it was: `retrieval`, `memory`, `user_profile`, `classification`, …
            content: What the model was told.
            source: Knowledge base, service or adapter that it came from.
            query: What was asked for.
            documents: What was found: LangChain's documents, or mappings with their fields.
            label: For a classification: the class.
            score: Confidence or relevance, 0 to 1.
            displayed: False if a transcript should not show it.
            record_id: Names it within the session.
            dedup_key: Records with the same key are one.
            metadata: Further plain values.
            level: When the receipt is done; `record_ack` by default.

        Raises:
            InvalidInputError: The session, kind or score cannot be used; nothing was recorded.
            BacklogFullError: The outbox is full, and `record_strict` is set.
        """
        ids = session_of(session)
        given = {
            "kind": contexts.checked_kind(kind),
            "content": content,
            "source": source,
            "query": query,
            "documents": list(documents),
            "label": label,
            "score": contexts.checked_score(score),
            "displayed": displayed,
            "dedup_key": dedup_key,
            "metadata": metadata,
        }
        facets = contexts.injected_facets(
            given,
            self._capture,
            id=_name(record_id) if record_id else contexts.record_id(dedup_key),
            origin="api",
            at=datetime.now(UTC),
            **ids.fields,
        )
        return self._outbox.add(ids.thread_id, facets, level=level)

    def register(self, kind: str, model: type[BaseModel]) -> None:
        """Makes a pydantic model a kind of record, to be written by `record` and read by `of_kind`.

        Raises:
            InvalidInputError: The name is taken, or cannot be one (lower-case letters, digits, `_` and `-`).
            InvalidTypeError: It is no pydantic model.
        """
        self._custom.register(kind, model)

    def record(
        self, session: SessionLike, record: BaseModel, *, record_id: str | None = None, level: Level | None = None
    ) -> Receipt:
        """Records an instance of a registered model, whole and not redacted; the same `record_id` again replaces it.

        Raises:
            InvalidInputError: Its class is not registered; nothing was recorded.
            ValueTooLargeError: It has more than 4 MiB; nothing was recorded.
        """
        facet = self._custom.facet(record, _name(record_id), time.time_ns())
        return self._outbox.add(session_of(session).thread_id, [facet], level=level)

    def _taken(self, value: Any) -> dict[str, Any]:
        return self._capture.take(value).model_dump(exclude_none=True)

    def _metadata(self, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return (
            {str(self._capture.name(key)): self._capture.take(value, key=str(key)).text for key, value in given.items()}
            if given
            else None
        )


def _name(record_id: str | None) -> str:
    return uuid.uuid4().hex if record_id is None else checked_id("record_id", record_id)
