"""Reading a session's messages: as the model would get them, or all that were ever said."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Literal, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from langgraph_session_bridge.condense.archive import Condensation
from langgraph_session_bridge.condense.marks import mark_of
from langgraph_session_bridge.condense.record_archive import RecordArchive
from langgraph_session_bridge.condense.transcript import doubtful, stitched
from langgraph_session_bridge.errors import DataIntegrityError, InvalidInputError

View = Literal["full", "model"]
"""`model`: what the state holds; `full`: the same with everything that condensations removed back in its place."""


class Transcripts:
    """The messages of threads, from checkpoints and the archive."""

    def __init__(self, saver: BaseCheckpointSaver[Any], archive: RecordArchive) -> None:
        """Reads a saver's checkpoints."""
        self._saver = saver
        self._archive = archive

    async def read(self, config: RunnableConfig, *, view: View, key: str, graph: Any = None) -> list[BaseMessage]:
        """The messages of a thread at a checkpoint (the newest, if the config names none), in order.

        Raises:
            InvalidInputError: The view is unknown, or the state's messages are no list.
            DataIntegrityError: The archive lacks a message that a condensation says it holds.
        """
        if view not in ("full", "model"):
            raise InvalidInputError(f"There is no view {view!r} of messages; there are full and model.")
        held, checkpoint_id = await self._held(config, key, graph)
        return list(held) if view == "model" else await self._whole(held, config, key, checkpoint_id)

    async def _held(self, config: RunnableConfig, key: str, graph: Any) -> tuple[Sequence[BaseMessage], str]:
        if graph is not None:
            state = await graph.aget_state(config)
            found: Any = state.values.get(key, []) if isinstance(state.values, dict) else getattr(state.values, key, [])
            checkpoint_id = state.config["configurable"].get("checkpoint_id", "")
        else:
            saved = await self._saver.aget_tuple(config)
            values = saved.checkpoint["channel_values"] if saved is not None else {}
            found = values.get(key, [])
            checkpoint_id = saved.checkpoint["id"] if saved is not None else ""
            if saved is not None and key not in values and key in saved.checkpoint["channel_versions"]:
                found = None  # a delta channel: its value is spread over checkpoints
        if not isinstance(found, list):
            raise InvalidInputError(
                f"{key!r} holds no list of messages that can be read without its graph (a DeltaChannel, for example); "
                "pass graph=."
            )
        return found, checkpoint_id

    async def _whole(
        self, held: Sequence[BaseMessage], config: RunnableConfig, key: str, checkpoint_id: str
    ) -> list[BaseMessage]:
        thread_id, ns = _address(config)
        condensations = await self._archive.condensations(thread_id, checkpoint_ns=ns, key=key)
        unclear = doubtful(held, condensations)
        line = await self._line(thread_id, ns, checkpoint_id, unclear) if unclear else set()
        wanted = {pair for record in condensations for pair in (*record.removed.items(), *record.replaced.items())}
        archived = await self._archive.messages(thread_id, wanted)
        try:
            whole = stitched(held, condensations, lambda message_id, digest: archived.get((message_id, digest)), line)
        except KeyError as error:
            raise DataIntegrityError(f"Thread {thread_id!r}: {error.args[0]}") from error
        return await self._without_others(thread_id, whole, {record.id for record in condensations})

    async def _line(self, thread_id: str, ns: str, checkpoint_id: str, unclear: Sequence[Condensation]) -> set[str]:
        """A checkpoint and its ancestors, as far back as the oldest condensation that is asked about."""
        oldest = min(record.checkpoint_id for record in unclear)
        line = {checkpoint_id}
        wanted: str | None = checkpoint_id
        source = self._saver.alist({"configurable": {"thread_id": thread_id, "checkpoint_ns": ns}})
        async with aclosing(cast("Any", source)) as found:
            async for saved in found:  # newest first, and a parent's id is lower
                if saved.checkpoint["id"] != wanted:
                    continue
                line.add(saved.metadata.get("rolled_back_to", wanted))  # `checkpoint.rewinding`: what it stands for
                wanted = saved.parent_config["configurable"]["checkpoint_id"] if saved.parent_config else None
                if wanted is None or wanted < oldest:
                    break
                line.add(wanted)
        return line

    async def _without_others(self, thread_id: str, whole: list[BaseMessage], own: set[str]) -> list[BaseMessage]:
        """Leaves out summaries that came from another list of the thread, a sub-graph's, which has the rest itself."""
        summaries = {message.id: str(mark_of(message).get("condensation")) for message in whole if _is_note(message)}
        strange = set(summaries.values()) - own
        known = await self._archive.known(thread_id, strange) if strange else set()
        return [message for message in whole if summaries.get(message.id) not in known]


def _is_note(message: BaseMessage) -> bool:
    return mark_of(message).get("kind") == "summary"


def _address(config: RunnableConfig) -> tuple[str, str]:
    configurable = config.get("configurable") or {}
    return configurable["thread_id"], configurable.get("checkpoint_ns", "")
