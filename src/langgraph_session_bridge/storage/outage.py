"""What happens while Redis is unreachable: writes go past it, and nobody may trust its hot state afterwards."""

from __future__ import annotations

import logging

from langgraph_session_bridge.errors import JournalUnavailableError
from langgraph_session_bridge.storage.protocols import Archive, Journal
from langgraph_session_bridge.storage.shared import Shared

logger = logging.getLogger(__name__)


async def begin(archive: Archive, shared: Shared, error: JournalUnavailableError) -> None:
    """Announces in MongoDB, before the first write that the journal will not see, that a new epoch is due.

    Every process that still reaches Redis notices within its `flush_poll_s`, starts that epoch, and so reads each
    thread from MongoDB once.
    """
    if not shared.writing_through:
        logger.warning("Redis is unreachable, writing through to MongoDB: %s", error)
        shared.epoch = await archive.next_epoch()
        shared.writing_through = True
    shared.counters["written_through"] += 1


async def end(journal: Journal, shared: Shared) -> None:
    """Returns to the journal, under a new epoch, if it answers again.

    Raises:
        JournalUnavailableError: It does not, or was tried a moment ago.
    """
    if not shared.writing_through:
        return
    if not shared.may_probe():
        raise JournalUnavailableError("Redis was unreachable a moment ago.")
    await journal.verify(force_epoch=True)
    shared.writing_through = False
    logger.warning("Redis is back; epoch %d.", journal.epoch)
