"""One writer per session: a lease with a token that every put of its holder shows, and that no stale one can show."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from pydantic import BaseModel, ConfigDict

from langgraph_session_bridge.checkpoint.identifiers import FENCE
from langgraph_session_bridge.errors import (
    InvalidInputError,
    SessionBridgeError,
    SessionBusyError,
    SessionFencedError,
    UnavailableError,
)
from langgraph_session_bridge.ids import checked_id
from langgraph_session_bridge.records.calls import Call, Runner
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.models import Session
from langgraph_session_bridge.storage.gatekeeper import Gatekeeper
from langgraph_session_bridge.storage.gates import Gate

logger = logging.getLogger(__name__)

LEASE_S = 30.0
_SHORTEST_S, _LONGEST_S = 0.1, 86_400.0
_RENEWALS = 3
"""A lease is renewed so many times before it would end."""
_POLL_S = 0.1


class Holder(BaseModel):
    """Who holds the lease of a session."""

    model_config = ConfigDict(frozen=True)

    owner: str
    until: datetime
    fence: int


class Lease:
    """The right to be the only one who puts to a session, as long as it is renewed and nobody took it over.

    Run the session's graph with `bridge.config(lease)`. Puts of everybody else are refused while the lease lasts; once
    somebody took it over, so are the holder's, even those that were under way while its process stood still.
    """

    def __init__(self, session: Session, gate: Gate, seconds: float, context: Context) -> None:
        self.session_id, self.thread_id, self.user_id = session.session_id, session.thread_id, session.user_id
        self.owner, self.fence = gate.owner, gate.fence
        """Token, higher than that of any lease before."""
        self.until = gate.until or datetime.now(UTC)
        """When it ends, as far as is known here."""
        self.lost = False
        """Whether somebody else is known to have taken it over; runs with a `control` are asked to stop then."""
        self._seconds, self._context = seconds, context
        self._keeping: Future[None] | None = None

    def __repr__(self) -> str:
        return f"Lease({self.session_id!r}, owner={self.owner!r}, fence={self.fence}, until={self.until:%H:%M:%S})"

    def renew(self) -> Call[datetime]:
        """Makes it last its full time from now on, and returns when it ends; also if it had ended and nobody took it.

        Raises:
            SessionFencedError: Somebody else took it over.
            UnavailableError: MongoDB does not answer; the lease goes on to its end.
        """
        return self._context.call(self._renew())

    async def _renew(self) -> datetime:
        gate = await (await _gates(self._context)).renew(self.thread_id, self.fence, self._seconds)
        if gate.fence != self.fence or gate.until is None:
            self._give_up()
            owner = f"{gate.owner!r} has it" if gate.owner else "it was given back"
            raise SessionFencedError(
                f"The lease of session {self.session_id[:80]!r} is not {self.owner!r}'s any more: {owner}.",
                owner=gate.owner or None,
                until=gate.until,
            )
        self.until = gate.until
        return self.until

    def _give_up(self) -> None:
        self.lost = True
        self._context.controls.drain(self.thread_id, "the lease of the session was lost")

    def release(self) -> Call[None]:
        """Gives it back, so that others need not wait for its end; safe to repeat, and after it was lost."""
        return self._context.call(self._release())

    async def _release(self) -> None:
        self._stop_keeping()
        await (await _gates(self._context)).release(self.thread_id, self.fence)

    # Kept up while a block runs

    def _start_keeping(self, runner: Runner) -> None:
        self._keeping = asyncio.run_coroutine_threadsafe(self._keep(), runner.home)
        self._keeping.add_done_callback(self._kept)

    def _kept(self, keeping: Future[None]) -> None:
        if not keeping.cancelled() and (error := keeping.exception()) is not None:
            logger.error("The lease of session %r is not renewed any more.", self.session_id[:80], exc_info=error)

    def _stop_keeping(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / _RENEWALS)
            try:
                await self._renew()
            except SessionFencedError as error:
                logger.warning("%s", error)
                return
            except UnavailableError as error:
                logger.warning("The lease of session %r was not renewed: %s", self.session_id[:80], error)


def shown(session: object) -> dict[str, int]:
    """What a put has to show in `configurable`, if what is named as a session is a lease of it."""
    return {FENCE: session.fence} if isinstance(session, Lease) else {}


async def _gates(context: Context) -> Gatekeeper:
    """Those of the running loop: each has clients of its own."""
    return (await context.backed("hand out leases").saver._runtime.pipeline()).gate


class Leasing:
    """A lease to be taken: `async with` or `with` keeps it up while the block runs; or await it, and renew it."""

    def __init__(self, context: Context, take: Callable[[], Call[Lease]]) -> None:
        self._context, self._take = context, take
        self._lease: Lease | None = None

    def __await__(self) -> Generator[Any, None, Lease]:
        return self._take().__await__()

    def result(self) -> Lease:
        """Takes it, for code without an event loop."""
        return self._take().result()

    async def __aenter__(self) -> Lease:
        self._lease = await self._take()
        self._lease._start_keeping(self._context.runner)
        return self._lease

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._lease is not None
        with _after_an_error(error):
            await self._lease.release()

    def __enter__(self) -> Lease:
        self._lease = self._take().result()
        self._lease._start_keeping(self._context.runner)
        return self._lease

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._lease is not None
        with _after_an_error(error):
            self._lease.release().result()


@contextlib.contextmanager
def _after_an_error(error: BaseException | None) -> Iterator[None]:
    """A lease that cannot be given back ends by itself: that does not hide why the block failed."""
    try:
        yield
    except SessionBridgeError as own:
        if error is None:
            raise
        logger.warning("A lease was not given back, and ends by itself: %s", own)


class Leases:
    """The part of `SessionManager` that hands out leases."""

    _context: Context

    def lease(
        self, session: SessionLike, *, owner: str | None = None, ttl_s: float = LEASE_S, wait_s: float = 0.0
    ) -> Leasing:
        """The right to be the only one who puts to a session.

        ```python
        async with sessions.lease("support-42") as lease:
            await graph.ainvoke(inputs, bridge.config(lease))
        ```

        Puts are refused without it as long as it lasts, and with an older one for ever. It covers checkpoints and
        pending writes; records of what happened are kept whoever tells them.

        Args:
            session: The session, or its id.
            owner: Who takes it, for those who meet it; unique by default. The same owner takes it again at once, as
                after a restart, and thereby shuts out its former self.
            ttl_s: How many seconds it lasts unless it is renewed, by the server's clock: how long others wait for a
                process that died.
            wait_s: How many seconds to wait for it if somebody else has it.

        Raises:
            SessionNotFoundError: There is no such session.
            SessionBusyError: Somebody else has it; `owner` and `until` tell who and how long.
            UnavailableError: A server does not answer, and what is promised could not be kept.
            InvalidInputError: A value cannot be used.
        """
        if not _SHORTEST_S <= ttl_s <= _LONGEST_S:
            raise InvalidInputError(f"ttl_s must be from {_SHORTEST_S:g} to {_LONGEST_S:g} seconds, not {ttl_s!r:.80}.")
        name = f"{self._context.actor}-{secrets.token_hex(4)}" if owner is None else checked_id("owner", owner)
        context = self._context
        return Leasing(context, lambda: context.call(self._leased(session, name, ttl_s, wait_s)))

    async def _leased(self, session: SessionLike, owner: str, seconds: float, wait_s: float) -> Lease:
        gates = await _gates(self._context)
        found = await self._context.registry.get(self._context.place(session))
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            try:
                gate = await gates.take(found.thread_id, owner, seconds)
            except UnavailableError:
                if loop.time() >= until:
                    raise
                await asyncio.sleep(_POLL_S)
                continue
            if gate.owner == owner:
                return Lease(found, gate, seconds, self._context)
            if loop.time() >= until:
                raise SessionBusyError(
                    f"Session {found.session_id[:80]!r} is leased by {gate.owner!r} until "
                    f"{gate.until:%Y-%m-%d %H:%M:%S} UTC; wait for it (`wait_s`), or ask that owner.",
                    owner=gate.owner,
                    until=gate.until,
                )
            await asyncio.sleep(min(_POLL_S, max(0.0, until - loop.time())))

    def holder(self, session: SessionLike) -> Call[Holder | None]:
        """Who holds the lease of a session, if anybody does.

        Raises:
            SessionNotFoundError: There is no such session.
        """

        async def work() -> Holder | None:
            gates = await _gates(self._context)
            found = await self._context.registry.get(self._context.place(session))
            gate = await gates.of(found.thread_id)
            if gate.until is None or gate.until <= datetime.now(UTC):
                return None
            return Holder(owner=gate.owner, until=gate.until, fence=gate.fence)

        return self._context.call(work())
