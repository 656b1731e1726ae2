"""Timelines, exports, imports and replays of sessions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import IO, Any, overload

from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.query import Query
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.export.entries import Entry, Kind, checked_kinds
from langgraph_session_bridge.sessions.export.formats import FormatName, format_of
from langgraph_session_bridge.sessions.export.importing import imported
from langgraph_session_bridge.sessions.export.loading import Lines
from langgraph_session_bridge.sessions.export.redaction import Redact, redaction_of
from langgraph_session_bridge.sessions.export.replaying import (
    Clock,
    Replay,
    ReplayControl,
    Span,
    checked_pace,
    paced,
)
from langgraph_session_bridge.sessions.export.timeline import Source, Timeline
from langgraph_session_bridge.sessions.models import Session

Kinds = Kind | Collection[Kind] | None
Target = str | os.PathLike[str] | IO[str]

_PIECE_CHARS = 256 * 1024


class Exporting:
    """The part of `SessionManager` that tells what happened in a session, and brings sessions elsewhere."""

    _context: Context

    def timeline(
        self,
        session: SessionLike,
        *,
        kinds: Kinds = None,
        redact: Redact = False,
        key: str = "messages",
        graph: Any = None,
    ) -> Timeline:
        """What happened in a session, oldest first: `await` it, or iterate over it in async or sync code.

        Args:
            session: The session, or its id.
            kinds: Only entries of these kinds, see `export.entries.Kind`; they keep their positions.
            redact: Whether secrets are redacted, or a function that takes more out of each text.
            key: Key of the state that holds the messages.
            graph: The compiled graph, where the messages cannot be read without it (a `DeltaChannel`).

        Raises:
            SessionNotFoundError: There is no such session (when it is read).
            InvalidInputError: There is no such kind.
        """
        return Timeline(self._context.runner, self._entries(session, kinds, redact, key, graph), None)

    def _entries(self, session: SessionLike, kinds: Kinds, redact: Redact, key: str, graph: Any) -> Any:
        wanted = checked_kinds(kinds)  # type: ignore[arg-type]

        async def found() -> AsyncGenerator[Entry, None]:
            source = await self._source(session, redact, key, graph, wanted)
            async for entry in source.entries():
                yield entry

        return found

    async def _source(
        self, session: SessionLike, redact: Redact, key: str, graph: Any, kinds: frozenset[str] | None
    ) -> Source:
        context = self._context
        backing = context.backed("export sessions")
        redaction = redaction_of(redact, backing.ledger.capture)
        found = await context.registry.get(context.place(session))
        await context.follower.settle(found.thread_id)
        await context.registry.store.drain(found.thread_id)
        found = await context.registry.get(context.place(session))
        return Source(session=found, backing=backing, key=key, graph=graph, redaction=redaction, kinds=kinds)

    # Exporting

    @overload
    def export(
        self,
        session: SessionLike,
        format: FormatName = "jsonl",
        *,
        redact: Redact | None = None,
        to: None = None,
        kinds: Kinds = None,
        key: str = "messages",
        graph: Any = None,
    ) -> Call[str]: ...
    @overload
    def export(
        self,
        session: SessionLike,
        format: FormatName = "jsonl",
        *,
        redact: Redact | None = None,
        to: Target,
        kinds: Kinds = None,
        key: str = "messages",
        graph: Any = None,
    ) -> Call[int]: ...
    def export(
        self,
        session: SessionLike,
        format: FormatName = "jsonl",
        *,
        redact: Redact | None = None,
        to: Target | None = None,
        kinds: Kinds = None,
        key: str = "messages",
        graph: Any = None,
    ) -> Call[str] | Call[int]:
        """Writes a session in a format that others read, or `import_`.

        Args:
            session: The session, or its id.
            format: `jsonl` loses nothing and can be imported again; `openai` and `sharegpt` are the messages, for
                training and evaluation; `markdown` is a transcript; `csv` has a row for each entry of the timeline;
                `html` is a page to look at it, in one file that needs no network.
            redact: Whether secrets are redacted: by default in all formats but `jsonl`, which holds everything. A
                function takes more out of each text. A redacted `jsonl` has the timeline, and cannot be imported.
            to: A path, which is written at once or not at all, or a text file that is open.
            kinds: Only entries of these kinds, in `markdown`, `csv` and `html`.
            key: Key of the state that holds the messages.
            graph: The compiled graph, where the messages cannot be read without it (a `DeltaChannel`).

        Returns:
            The text, or with `to` the number of characters that were written.

        Raises:
            SessionNotFoundError: There is no such session.
            InvalidInputError: There is no such format or kind.
        """
        chunks = self.export_chunks(session, format, redact=redact, kinds=kinds, key=key, graph=graph)
        if to is None:
            return self._context.call(_joined(aiter(chunks)))
        return self._context.call(_written(aiter(chunks), to))

    def export_chunks(
        self,
        session: SessionLike,
        format: FormatName = "jsonl",
        *,
        redact: Redact | None = None,
        kinds: Kinds = None,
        key: str = "messages",
        graph: Any = None,
    ) -> Query[str]:
        """The same piece by piece, for a response that is streamed; to be iterated in async or sync code.

        Raises:
            SessionNotFoundError: There is no such session (when it is read).
            InvalidInputError: There is no such format or kind.
        """
        chosen, wanted = format_of(format), checked_kinds(kinds)  # type: ignore[arg-type]
        redacting: Redact = (not chosen.lossless) if redact is None else redact

        async def pieces() -> AsyncGenerator[str, None]:
            async for piece in chosen.write(await self._source(session, redacting, key, graph, wanted)):
                yield piece

        return Query(self._context.runner, pieces, None)

    def import_(
        self,
        source: Lines,
        session_id: str | None = None,
        *,
        user_id: str | None = None,
    ) -> Call[Session]:
        """Restores a session from what `export(session, "jsonl")` wrote: state, history, records, archived messages.

        All lines are checked before anything is written. What happened keeps its times, so a session that was to
        expire still is: `touch` or `update` it.

        Args:
            source: A path, the text itself, a text file that is open, or lines.
            session_id: The id that it is to have, if not its own; its thread is then called the same.
            user_id: Whose it is to be, if not the same user's; a manager for one user makes it that user's.

        Raises:
            SessionConflictError: There is a session, or something else, under this id already.
            InvalidInputError: It is no export, or one of a later version, or some of its lines cannot be used: the
                message says which, and why.
        """
        return self._context.call(imported(self._context, source, session_id, user_id))

    # Replaying

    def replay(
        self,
        session: SessionLike,
        *,
        speed: float | None = 1.0,
        start: datetime | int | None = None,
        turn: int | None = None,
        until: datetime | int | None = None,
        kinds: Kinds = None,
        max_gap_s: float | None = 2.0,
        control: ReplayControl | None = None,
        redact: Redact = False,
        key: str = "messages",
        graph: Any = None,
        clock: Clock | None = None,
    ) -> Replay:
        """The entries of a session's timeline at the pace at which they happened.

        Args:
            session: The session, or its id.
            speed: Times that pace; `None` is as fast as possible.
            start: From this time on, or from the entry at this position.
            turn: From this turn of the user's on.
            until: Up to this time (not included), or to the entry at this position (included).
            kinds: Only entries of these kinds.
            max_gap_s: What is longer than this, in the session's time, is shortened to it; `None` shortens nothing.
            control: Lets others pause it and change its speed; the speed is then that of the control.
            redact: As for `timeline`.
            key: As for `timeline`.
            graph: As for `timeline`.
            clock: For tests.

        Raises:
            SessionNotFoundError: There is no such session (when it is read).
            InvalidInputError: A speed, position or kind cannot be used.
        """
        checked_pace(speed, max_gap_s)
        span = Span(start=start, turn=turn, until=until)
        entries = self._entries(session, kinds, redact, key, graph)
        given, timed = control, clock or Clock()

        def played() -> AsyncGenerator[Entry, None]:
            told = given or ReplayControl(speed=speed)
            return paced(entries(), span, told, max_gap_s=max_gap_s, clock=timed)

        return Replay(self._context.runner, played, None)


async def _joined(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])


async def _written(pieces: AsyncIterator[str], to: Target) -> int:
    if not isinstance(to, (str, os.PathLike)):
        return await _poured(pieces, to)
    path = Path(to)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        file = await asyncio.to_thread(part.open, "w", encoding="utf-8", errors="replace", newline="\n")
        try:
            written = await _poured(pieces, file)
        finally:
            await asyncio.to_thread(file.close)
        await asyncio.to_thread(part.replace, path)
    finally:
        part.unlink(missing_ok=True)
    return written


async def _poured(pieces: AsyncIterator[str], file: IO[str]) -> int:
    """Writes large pieces, none of them in the event loop."""
    waiting: list[str] = []
    size = written = 0
    async with aclosing(pieces) as found:  # type: ignore[type-var]
        async for piece in found:
            waiting.append(piece)
            size += len(piece)
            if size >= _PIECE_CHARS:
                await asyncio.to_thread(file.write, "".join(waiting))
                written, waiting, size = written + size, [], 0
    await asyncio.to_thread(file.write, "".join(waiting))
    return written + size
