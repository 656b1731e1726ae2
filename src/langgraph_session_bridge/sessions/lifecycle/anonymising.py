"""Making sessions nobody's: who they belonged to cannot be told from what stays, as far as the library wrote it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from typing import Any

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.records.session_ids import SessionLike
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.models import AnonymisationReport, Session, SessionConfig, Transition
from langgraph_session_bridge.sessions.stores.registry import Place
from langgraph_session_bridge.storage.documents import chunk_fields, re_encode, whole
from langgraph_session_bridge.storage.pipeline import Pipeline

_AT_ONCE = 50


class Anonymising:
    """The part of `SessionManager` that makes sessions nobody's."""

    _context: Context

    def anonymise(
        self,
        session: SessionLike | None = None,
        *,
        user_id: str | None = None,
        pseudonym: bool = True,
        keys: Collection[str] = ("user_id",),
    ) -> Call[AnonymisationReport]:
        """Takes a user out of a session, or of all that are the user's, for statistics that outlive people.

        Of the session: the user, title, metadata, evaluation, what it waits for, reasons, the message of its last
        error, and all of its configuration but model, provider and duration. Of its records: the user. Of its
        checkpoints: the user in the metadata. What a state, a record or an id *says* stays as it is: erase it, if
        that names people. End the session first: a run that goes on stores the user again.

        Args:
            session: The session, or its id.
            user_id: All sessions that are registered as this user's.
            pseudonym: Whether all these sessions get one name in the place of the user; nobody can tell whose it was,
                or give it to further sessions. Otherwise they belong to nobody.
            keys: Names that are taken out of the metadata of checkpoints.

        Raises:
            InvalidInputError: Neither session nor user was given, or both, or another user's in the name of one.
            SessionNotFoundError: There is no such session.
            UnavailableError: A server did not answer; calling it again goes on.
        """
        if (session is None) == (user_id is None):
            raise InvalidInputError("Tell either which session is to be anonymised, or whose sessions: user_id=….")
        return self._context.call(self._anonymise(session, user_id, pseudonym, frozenset(keys)))

    async def _anonymise(
        self, session: SessionLike | None, user_id: str | None, pseudonym: bool, keys: frozenset[str]
    ) -> AnonymisationReport:
        context, store = self._context, self._context.registry.store
        if session is not None:
            found = [await context.registry.get(context.place(session))]
        else:
            whose = context.owner(ids.name("user_id", user_id))
            traces = await store.traces(user_id=whose)
            living = [await context.registry.of_thread(record.thread_id) for record in traces]
            found = [each for each in living if each is not None and each.user_id == whose]
        name = _pseudonym(secrets.token_bytes(16)) if pseudonym else None
        records = checkpoints = 0
        for each in found:
            if context.backing is not None:
                some = await _stored(context.backing.saver, each, name, keys)
                records, checkpoints = records + some[0], checkpoints + some[1]
            await self._unleased(each)
            await self._session(each, name)  # last: until then it is found again
            if each.user_id is not None:
                await store.traces(user_id=each.user_id)  # a list of the user's forgets it
        return AnonymisationReport(
            sessions=sorted(each.session_id for each in found), records=records, checkpoints=checkpoints, user_id=name
        )

    async def _unleased(self, session: Session) -> None:
        """A lease that nobody gave back says who had it; its token stays good until somebody takes one."""
        if self._context.backing is None:
            return
        gates = (await self._context.backing.saver._runtime.pipeline()).gate
        gate = await gates.of(session.thread_id)
        if gate.owner and session.user_id is not None and session.user_id in gate.owner:
            await gates.release(session.thread_id, gate.fence)

    async def _session(self, session: Session, name: str | None) -> None:
        def change(now: Session) -> Mapping[str, Any]:
            return _nobodys(now, name)

        place = Place(session_id=session.thread_id)
        self._context.follower.learn(await self._context.registry.change(place, change, active=False))


def _pseudonym(salt: bytes) -> str:
    """A name of random bytes that are kept nowhere: not even who knows the user can find it again."""
    return f"anonymous-{hashlib.blake2b(salt, digest_size=12).hexdigest()}"


def _nobodys(session: Session, name: str | None) -> dict[str, Any]:
    whose = session.user_id

    def anonymous(move: Transition) -> Transition:
        actor = move.actor if whose is None or whose not in move.actor else f"user {name or 'unknown'}"
        return move.model_copy(update={"actor": actor, "reason": None})

    kept = session.config
    error = session.last_error
    return {
        "user_id": name,
        "title": None,
        "metadata": {},
        "evaluation": {},
        "config": SessionConfig(model=kept.model, provider=kept.provider, max_duration_s=kept.max_duration_s),
        "pending_interrupts": [each.model_copy(update={"value": None}) for each in session.pending_interrupts],
        "last_error": None if error is None else error.model_copy(update={"message": ""}),
        "transitions": [anonymous(move) for move in session.transitions],
    }


async def _stored(
    saver: SessionBridgeSaver, session: Session, name: str | None, keys: frozenset[str]
) -> tuple[int, int]:
    """Takes the user out of records and checkpoints; returns how many of each said who it was."""
    pipeline, thread_id = await saver._runtime.pipeline(), session.thread_id
    await pipeline.flush_thread(thread_id)
    generation = await pipeline.archive.generation(thread_id)
    records = await pipeline.archive.rename_user(thread_id, generation, name)
    checkpoints = 0
    names = await pipeline.archive.names(thread_id, generation, "c/")
    for at in range(0, len(names), _AT_ONCE):
        checkpoints += await _checkpoints(saver, pipeline, thread_id, generation, names[at : at + _AT_ONCE], name, keys)
    await pipeline.forget(thread_id)
    return records, checkpoints


async def _checkpoints(
    saver: SessionBridgeSaver,
    pipeline: Pipeline,
    thread_id: str,
    generation: int,
    names: Collection[str],
    name: str | None,
    keys: frozenset[str],
) -> int:
    """Stores checkpoints again, with other metadata."""
    archive, changed = pipeline.archive, 0
    found = await archive.fetch(thread_id, generation, list(names))
    for main in names:
        if main not in found:
            continue
        chunks = chunk_fields(found[main])
        document = dict(whole(found | await archive.fetch(thread_id, generation, chunks), main))
        metadata = saver.serde.loads_typed(tuple(document["z"]))
        if not keys.intersection(metadata):
            continue
        document["z"] = list(saver.serde.dumps_typed(_without(metadata, name, keys)))
        document["m"] = _without(document["m"], name, keys)
        kept = {key: value for key, value in document.items() if key not in ("x", "zs")}
        await archive.replace(thread_id, re_encode(kept))
        if chunks:
            prefix = document["_id"].removesuffix(main)
            await archive.delete(thread_id, [prefix + chunk for chunk in chunks])
        changed += 1
    return changed


def _without(metadata: Mapping[str, Any], name: str | None, keys: frozenset[str]) -> dict[str, Any]:
    """Metadata without some keys; whose it is says a pseudonym, if there is one."""
    kept = {key: value for key, value in metadata.items() if key not in keys}
    if name is not None and "user_id" in metadata and "user_id" in keys:
        kept["user_id"] = name
    return kept
