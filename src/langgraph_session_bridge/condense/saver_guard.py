"""The guard in a saver: trims what is about to be stored, for graphs that cannot be changed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.base import Checkpoint

from langgraph_session_bridge.condense.archive import archived, condensation_of
from langgraph_session_bridge.condense.condenser import Condenser
from langgraph_session_bridge.condense.guard import guarded
from langgraph_session_bridge.errors import ConfigurationError, SessionBridgeError

logger = logging.getLogger(__name__)

_TRIMMED = ("input", "loop")
"""Checkpoints of runs; what `update_state` or a fork writes is stored as it was asked for."""


class SaverGuard:
    """Trims the messages of a checkpoint on its way into the saver, after they were archived.

    The running graph goes on with its whole list; the next run loads the trimmed one. Values that are no list of
    messages with ids (a `DeltaChannel`'s, for example) are left alone.
    """

    def __init__(self, condenser: Condenser) -> None:
        """Trims by a condenser's rules; summaries are left out, since a saver calls no model.

        Raises:
            ConfigurationError: The condenser trims no state.
        """
        if condenser.mode != "compact":
            raise ConfigurationError("A guard trims what is saved: give it a condenser in mode 'compact'.")
        self._condenser = condenser

    def __call__(
        self, thread_id: str, ns: str, checkpoint: Checkpoint, metadata: Any, new_versions: Mapping[str, Any]
    ) -> tuple[Checkpoint, Callable[[], Awaitable[bool]]] | None:
        """The trimmed checkpoint, and what archives the rest first; nothing if there is nothing to do."""
        condenser, key = self._condenser, self._condenser.messages_key
        messages = _chat(checkpoint["channel_values"].get(key))
        if metadata.get("source") not in _TRIMMED or key not in new_versions or not messages:
            return None
        plan = guarded(condenser, messages)
        if not plan:
            return None
        items = archived(plan)
        record = condensation_of(
            plan, items, thread_id=thread_id, checkpoint_ns=ns, key=key, checkpoint_id=checkpoint["id"]
        )
        trimmed: Checkpoint = {**checkpoint, "channel_values": {**checkpoint["channel_values"], key: plan.after}}

        async def keep() -> bool:
            if condenser.archive is None:
                return True
            try:
                await condenser.archive.keep(thread_id, items, record)
            except SessionBridgeError as error:
                logger.warning("Thread %r was stored whole, as what goes could not be archived: %s", thread_id, error)
                return False
            return True

        return trimmed, keep


def _chat(value: Any) -> list[BaseMessage]:
    """The messages, if they are a list of such that can be told apart; none otherwise."""
    if type(value) is not list or not all(isinstance(message, BaseMessage) for message in value):
        return []
    ids = {message.id for message in value}
    return value if len(ids) == len(value) and None not in ids else []
