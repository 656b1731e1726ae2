"""Records of an application's own: a pydantic model by the name of its kind."""

from __future__ import annotations

import re

from pydantic import BaseModel, ValidationError

from langgraph_session_bridge.errors import DataIntegrityError, InvalidInputError, InvalidTypeError
from langgraph_session_bridge.storage.facets import Facet, StoredRecord

RESERVED = frozenset({"tool", "context", "event", "audio", "message", "condensation", "session", "template"})
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class CustomKinds:
    """Kinds that were registered, and how their records are kept: whole, the newest version."""

    def __init__(self) -> None:
        """Knows none."""
        self._models: dict[str, type[BaseModel]] = {}

    def register(self, kind: str, model: type[BaseModel]) -> None:
        """Makes a model a kind of record; the same again is harmless.

        Raises:
            InvalidInputError: The name is taken, or cannot be one.
            InvalidTypeError: It is no pydantic model.
        """
        given: object = model
        if not (isinstance(given, type) and issubclass(given, BaseModel)):
            raise InvalidTypeError(f"The model of kind {kind!r} must be a subclass of pydantic.BaseModel.")
        if not _KIND.fullmatch(kind) or kind in RESERVED:
            raise InvalidInputError(
                f"{kind!r} cannot be a kind of record: 1 to 64 lower-case letters, digits, _ and -, and none of "
                f"{', '.join(sorted(RESERVED))}."
            )
        if self._models.get(kind, model) is not model:
            raise InvalidInputError(f"Kind {kind!r} is registered for {self._models[kind].__name__} already.")
        self._models[kind] = model

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those that were registered."""
        return tuple(self._models)

    def model(self, kind: str) -> type[BaseModel]:
        """The model of a kind.

        Raises:
            InvalidInputError: The kind is not registered.
        """
        if kind not in self._models:
            known = ", ".join(sorted(self._models)) or "none yet"
            raise InvalidInputError(f"Kind {kind!r} is not registered; `register` it first (known: {known}).")
        return self._models[kind]

    def facet(self, record: BaseModel, record_id: str, rank: int) -> Facet:
        """A version of a record; that of the highest rank stays.

        Raises:
            InvalidInputError: Its class is not registered.
        """
        kind = next((kind for kind, model in self._models.items() if type(record) is model), None)
        if kind is None:
            raise InvalidInputError(f"{type(record).__name__} is not registered; call `register(kind, model)` first.")
        return Facet(kind=kind, id=record_id, name="start", rank=rank, value=record.model_dump(mode="json"))

    def read(self, stored: StoredRecord) -> BaseModel:
        """A record as it was recorded.

        Raises:
            DataIntegrityError: Its model does not accept it any more.
        """
        try:
            return self.model(stored.kind).model_validate(dict(stored["start"]))
        except ValidationError as error:
            raise DataIntegrityError(
                f"Record {stored.id!r} of kind {stored.kind!r} in thread {stored.thread_id!r} does not fit its model "
                f"any more: {error}"
            ) from error
