"""What happens while Redis is unreachable: calls go past it, and nobody may trust its hot state after such writes."""

from __future__ import annotations

import logging

from langgraph_session_bridge.errors import JournalUnavailableError, UnavailableError
from langgraph_session_bridge.storage.protocols import Archive, Journal
from langgraph_session_bridge.storage.shared import Shared

logger = logging.getLogger(__name__)

_PROBE_S = 1.0
"""How long the call that tries an unreachable Redis waits for an answer."""


async def begin(archive: Archive, shared: Shared, error: JournalUnavailableError) -> None:
    """Announces in MongoDB, before the first write that the journal will not see, that a new epoch is due.

    Every process that still reaches Redis notices within its `flush_poll_s`, starts that epoch, and so reads each
    thread from MongoDB once.
    """
    if not shared.writing_through:
        epoch = await archive.next_epoch()
        if not shared.writing_through:  # nor did another call announce one meanwhile
            logger.warning("Redis is unreachable, writing through to MongoDB: %s", error)
            shared.epoch = epoch
            shared.writing_through = shared.telemetry.writing_through = True
    shared.breaker.trip()


async def notice(archive: Archive, journal: Journal) -> None:
    """Starts the epoch that another process announced, so that what it wrote past the journal is seen."""
    newest = await archive.epoch()
    if newest > journal.epoch:
        journal.doubt()
        await journal.verify()  # another process may have stamped the journal already
        if newest > journal.epoch:
            await journal.verify(force_epoch=True)


async def _notice_if_told(archive: Archive, journal: Journal) -> None:
    try:
        await notice(archive, journal)
    except JournalUnavailableError:
        raise
    except UnavailableError as error:
        logger.warning("Back to Redis, though MongoDB does not tell whether it was bypassed: %s", error)


async def end(archive: Archive, journal: Journal, shared: Shared, *, at_once: bool = False) -> None:
    """Returns to the journal if it answers again, under a new epoch if this or another process wrote past it.

    Args:
        archive: Where other processes announce that.
        journal: The journal.
        shared: What knows of the outage.
        at_once: Whether to try it although that was done a moment ago.

    Raises:
        JournalUnavailableError: It does not, or was tried a moment ago.
    """
    if shared.breaker.state == "closed":
        if not shared.writing_through:
            return
        shared.breaker.trip()  # a write went past Redis just when another call found it back
    if not shared.breaker.may_try(at_once=at_once):
        raise JournalUnavailableError("Redis was unreachable a moment ago.")
    try:
        await journal.ping(_PROBE_S)
        if shared.writing_through:
            await journal.verify(force_epoch=True)
        else:  # what was read from MongoDB meanwhile may be newer than what Redis shows
            await _notice_if_told(archive, journal)
    except BaseException:
        shared.breaker.reopen()
        raise
    shared.writing_through = shared.telemetry.writing_through = False
    shared.breaker.close()
    logger.warning("Redis is back; epoch %d.", journal.epoch)
