"""Reading a session's messages: as the model would get them, or all that were ever said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple

from langgraph_session_bridge.condense.record_archive import RecordArchive
from langgraph_session_bridge.condense.transcript import stitched
from langgraph_session_bridge.errors import DataIntegrityError, InvalidInputError

View = Literal["full", "model"]
"""`model`: what the state holds; `full`: the same with everything that condensations removed back in its place."""


class Transcripts:
    """The messages of threads, from checkpoints and the archive."""

    def __init__(
        self, checkpoint_of: Callable[[RunnableConfig], Awaitable[CheckpointTuple | None]], archive: RecordArchive
    ) -> None:
        """Reads checkpoints by a saver's `aget_tuple`."""
        self._checkpoint_of = checkpoint_of
        self._archive = archive

    async def read(self, config: RunnableConfig, *, view: View, key: str, graph: Any = None) -> list[BaseMessage]:
        """The messages of a thread at a checkpoint (the newest, if the config names none), in order.

        Raises:
            InvalidInputError: The view is unknown, or the state's messages are no list.
            DataIntegrityError: The archive lacks a message that a condensation says it holds.
        """
        if view not in ("full", "model"):
            raise InvalidInputError(f"There is no view {view!r} of messages; there are full and model.")
        held = await self._held(config, key, graph)
        return list(held) if view == "model" else await self._whole(held, config, key)

    async def _held(self, config: RunnableConfig, key: str, graph: Any) -> Sequence[BaseMessage]:
        if graph is not None:
            values = (await graph.aget_state(config)).values
            found = values.get(key, []) if isinstance(values, dict) else getattr(values, key, [])
        else:
            checkpoint = await self._checkpoint_of(config)
            values = checkpoint.checkpoint["channel_values"] if checkpoint is not None else {}
            found = values.get(key, [])
            if checkpoint is not None and key not in values and key in checkpoint.checkpoint["channel_versions"]:
                found = None  # a delta channel: its value is spread over checkpoints
        if not isinstance(found, list):
            raise InvalidInputError(
                f"{key!r} holds no list of messages that can be read without its graph (a DeltaChannel, for example); "
                "pass graph=."
            )
        return found

    async def _whole(self, held: Sequence[BaseMessage], config: RunnableConfig, key: str) -> list[BaseMessage]:
        configurable = config.get("configurable") or {}
        thread_id, ns = configurable["thread_id"], configurable.get("checkpoint_ns", "")
        condensations = await self._archive.condensations(thread_id, checkpoint_ns=ns, key=key)
        wanted = {pair for record in condensations for pair in (*record.removed.items(), *record.replaced.items())}
        archived = await self._archive.messages(thread_id, wanted)
        try:
            return stitched(held, condensations, lambda message_id, digest: archived.get((message_id, digest)))
        except KeyError as error:
            raise DataIntegrityError(f"Thread {thread_id!r}: {error.args[0]}") from error
