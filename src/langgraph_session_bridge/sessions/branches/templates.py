"""Templates: what sessions of one sort are made with, by name, for all processes and all users."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Unpack, cast

from pydantic import BaseModel, ConfigDict, Field

from langgraph_session_bridge.errors import InvalidInputError, SessionNotFoundError
from langgraph_session_bridge.moments import at_millisecond
from langgraph_session_bridge.records.audio.counting import CLOCK
from langgraph_session_bridge.records.calls import Call
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.context import Context
from langgraph_session_bridge.sessions.describing import fields_of
from langgraph_session_bridge.sessions.models import Fields, SessionConfig
from langgraph_session_bridge.storage.facets import Facet, StoredRecord
from langgraph_session_bridge.storage.record_store import RecordStore

THREAD = f"{ids.RESERVED}templates"
"""Where they are kept: a thread that no session can be."""
KIND = FACET = "template"


class Template(BaseModel):
    """What a session is made with."""

    model_config = ConfigDict(frozen=True)

    name: str
    fields: dict[str, Any] = Field(default_factory=dict)
    """As for `create`, the configuration among them."""
    saved_at: datetime
    saved_by: str

    @property
    def config(self) -> SessionConfig:
        """The configuration."""
        return SessionConfig.model_validate(self.fields.get("config", {}))


class Templates:
    """Stored configurations by name: `sessions.templates`.

    They are shared: a manager for one user reads them and makes sessions of them, and only one for all changes them.
    """

    def __init__(self, context: Context) -> None:
        """Those of a manager."""
        self._context = context

    def save(
        self, name: str, configuration: SessionConfig | Mapping[str, Any] | None = None, /, **fields: Unpack[Fields]
    ) -> Call[Template]:
        """Stores a template in the place of any other of its name; of two at the same time the later one stays.

        Args:
            name: Its name.
            configuration: The configuration of sessions that are made with it.
            **fields: What else they are made with, see `models.Fields`; not whose they are.

        Raises:
            InvalidInputError: A value cannot be used, or this manager is for one user.
            ValueTooLargeError: It is too large.
        """
        return self._context.call(self._save(name, configuration, fields))

    async def _save(self, name: str, config: object, given: Mapping[str, Any]) -> Template:
        known = self._checked(name)
        self._for_all()
        if "user_id" in given:
            raise InvalidInputError("A template is for all users; pass user_id to `create`.")
        if config is not None and "config" in given:
            raise InvalidInputError("The configuration is given twice.")
        fields = fields_of(given if config is None else {**given, "config": config})
        if "config" in fields:
            fields["config"] = fields["config"].model_dump(exclude_none=True)
        template = Template(
            name=known, fields=fields, saved_at=at_millisecond(datetime.now(UTC)), saved_by=self._context.actor
        )
        await self._put(known, template.model_dump())
        return template

    def get(self, name: str) -> Call[Template]:
        """A template.

        Raises:
            SessionNotFoundError: There is none of that name.
        """
        return self._context.call(self._get(name))

    async def _get(self, name: str) -> Template:
        known = self._checked(name)
        for record in await (await self._records()).get(THREAD, [(KIND, known)]):
            if found := _template(record):
                return found
        raise SessionNotFoundError(f"There is no template {known!r}; `templates.list()` tells which there are.")

    def list(self) -> Call[builtins.list[Template]]:
        """All templates, by name."""
        return self._context.call(self._list())

    async def _list(self) -> builtins.list[Template]:
        records = await self._records()
        found = [_template(record) async for record in records.find(THREAD, [KIND])]
        return sorted([each for each in found if each is not None], key=lambda each: each.name)

    def delete(self, name: str) -> Call[bool]:
        """Deletes a template, whether or not sessions were made with it; false if there is none.

        Raises:
            InvalidInputError: This manager is for one user.
        """
        return self._context.call(self._delete(name))

    async def _delete(self, name: str) -> bool:
        known = self._checked(name)
        self._for_all()
        try:
            await self._get(known)
        except SessionNotFoundError:
            return False
        await self._put(known, {"deleted": True})
        return True

    async def _put(self, name: str, value: Mapping[str, Any]) -> None:
        facet = Facet(kind=KIND, id=name, name=FACET, rank=CLOCK(), value=value)
        await (await self._records()).put(THREAD, [facet], "majority")

    async def _records(self) -> RecordStore:
        backing = self._context.backed("keep templates")
        return (await backing.saver._runtime.pipeline()).records

    def _for_all(self) -> None:
        if self._context.user_id is not None:
            raise InvalidInputError("Templates are shared; only a manager for all users can change them.")

    @staticmethod
    def _checked(name: object) -> str:
        if name is None:
            raise InvalidInputError("A template needs a name.")
        return cast("str", ids.name("name", name))


def _template(record: StoredRecord) -> Template | None:
    value = record[FACET]
    return None if not value or value.get("deleted") else Template.model_validate(value)
