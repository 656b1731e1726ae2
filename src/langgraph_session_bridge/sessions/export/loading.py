"""Reading an export again: every line is checked before anything is written."""

from __future__ import annotations

import base64
import binascii
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from langgraph.checkpoint.serde.base import SerializerProtocol

from langgraph_session_bridge.checkpoint import dumping
from langgraph_session_bridge.errors import DataIntegrityError, InvalidInputError, InvalidTypeError
from langgraph_session_bridge.sessions import ids
from langgraph_session_bridge.sessions.export.lines import FORMAT, SCHEMA_VERSION
from langgraph_session_bridge.sessions.models import Life
from langgraph_session_bridge.sessions.stores.keeping import DERIVED, LIFE, RECORD_ID, micros_in, time_of
from langgraph_session_bridge.sessions.stores.keeping import KIND as SESSION
from langgraph_session_bridge.storage.documents import name_of
from langgraph_session_bridge.storage.facets import Facet

Lines = str | os.PathLike[str] | IO[str] | Iterable[str]
"""An export: its path, its text, a file that is open, or its lines."""

_DOCUMENTS = ("checkpoint", "value", "elements", "writes", "chunk")
_MOST_PROBLEMS = 10
_IN_MEMORY_BYTES = 8 * 1024 * 1024


class BadLineError(InvalidInputError):
    """Lines of an export cannot be used; nothing was written.

    Attributes:
        problems: What is wrong, by the number of the line.
    """

    def __init__(self, problems: Mapping[int, str]) -> None:
        self.problems = dict(problems)
        shown = "; ".join(f"line {number}: {problem}" for number, problem in self.problems.items())
        more = ", and perhaps more" if len(self.problems) >= _MOST_PROBLEMS else ""
        super().__init__(f"This export cannot be imported ({shown}{more}). Export the session again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line, decoded: the facets of a record, or a document with its rank."""

    facets: list[Facet] = field(default_factory=list)
    document: dict[str, Any] | None = None
    rank: int = 0
    size: int = 0


@contextmanager
def spooled(source: Lines) -> Iterator[Callable[[], Iterator[str]]]:
    """A way to go through the lines as often as needed; those that can be read once are kept in a temporary file."""
    if isinstance(source, str) and source.lstrip().startswith("{"):
        source = source.splitlines()
    if isinstance(source, (str, os.PathLike)):
        path = source

        def again() -> Iterator[str]:
            with open(path, encoding="utf-8", newline="\n") as file:
                yield from file

        yield again
        return
    if not isinstance(source, Iterable):
        raise InvalidTypeError(f"An export is its path, a file or its lines, not {type(source).__name__}.")
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, "w+", encoding="utf-8", newline="\n") as file:
        for line in source:
            if not isinstance(line, str):
                raise InvalidTypeError(f"Lines of an export are text, not {type(line).__name__}.")
            file.write(line if line.endswith("\n") else f"{line}\n")

        def rewound() -> Iterator[str]:
            file.seek(0)
            yield from file

        yield rewound


@dataclass(slots=True)
class Checked:
    """What a first reading found: whose session it is, and its entry in the registry."""

    serde: SerializerProtocol
    life: Life | None = None
    others: list[Facet] = field(default_factory=list)
    """The other facets of its entry."""
    ended: bool = False
    lines: int = 0


def check(lines: Iterable[str], serde: SerializerProtocol) -> Checked:
    """Reads everything once.

    Raises:
        BadLineError: A line cannot be used; the message says which, and why.
        InvalidInputError: It is no export, or one that a later version wrote.
    """
    found, problems = Checked(serde), dict[int, str]()
    try:
        for number, line in enumerate(lines, 1):
            found.lines = number
            try:
                _check(found, number, line)
            except _ProblemError as problem:
                problems[number] = str(problem)
            if len(problems) >= _MOST_PROBLEMS:
                break
    except UnicodeDecodeError as error:
        problems[found.lines + 1] = f"it is no UTF-8 text ({error.reason})"
    except OSError as error:
        raise InvalidInputError(f"The export cannot be read: {error}") from error
    if not problems and not found.ended:
        problems[found.lines + 1] = "the last line is missing: the file was cut off"
    if not problems and found.life is None:
        problems[1] = "the session's own record is missing"
    if problems:
        raise BadLineError(problems)
    return found


class _ProblemError(Exception):
    """What is wrong with one line."""


def _check(found: Checked, number: int, line: str) -> None:
    value = _object(line, number)
    kind = value["type"]
    if found.ended:
        raise _ProblemError("there is something after the last line")
    if (kind == "session") != (number == 1):
        raise _ProblemError("an export begins with the line of its session, and has one such line")
    if kind == "session":
        _check_head(value)
    elif kind == "end":
        found.ended = True
        if value.get("lines") != number:
            raise _ProblemError(f"there should be {value.get('lines')} lines, and there are {number}")
    else:
        row = _row(value)
        if row.document is not None:
            _readable(row.document, found.serde)
        elif (row.facets[0].kind, row.facets[0].id) == (SESSION, RECORD_ID):
            _check_session(found, row.facets)


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        what = "it is empty" if not line.strip() else f"it is no JSON ({error})"
        raise _ProblemError(what) from error
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise _ProblemError("it is no object with a `type`")
    schema = value.get("schema_version")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise _ProblemError("it has no `schema_version`")
    if schema > SCHEMA_VERSION:
        raise InvalidInputError(
            f"Line {number} of this export has schema version {schema}, of a later langgraph-session-bridge; this one "
            f"reads up to {SCHEMA_VERSION}. Update it to import this."
        )
    return value


def _check_head(value: Mapping[str, Any]) -> None:
    if value.get("format") != FORMAT:
        raise InvalidInputError(
            f"This is no export that can be imported: line 1 does not name {FORMAT} as its format. "
            'Use `export(session, format="jsonl")`.'
        )
    if value.get("redacted"):
        raise InvalidInputError(
            "This export was redacted: it holds no state that a graph could go on with. Export with redact=False."
        )


def rows(lines: Iterable[str]) -> Iterator[Row]:
    """What a checked export holds, in order."""
    for line in lines:
        value = json.loads(line)
        if value["type"] not in ("session", "end"):
            yield _row(value)


def _row(value: Mapping[str, Any]) -> Row:
    kind = value["type"]
    try:
        if kind == "record":
            raw = _bytes(value, "facets")
            return Row(facets=dumping.read_facets(raw), size=len(raw))
        if kind not in _DOCUMENTS:
            raise _ProblemError(f"there is no type {kind[:40]!r}")
        raw, rank = _bytes(value, "bson"), value.get("rank")
        document = dumping.read_document(raw)
    except InvalidInputError as error:
        raise _ProblemError(str(error)) from error
    if not isinstance(rank, int) or not 0 <= rank < 2**32:
        raise _ProblemError("its `rank` is no number from 0 to 2^32")
    if dumping.kind_of(name_of(document)) != kind:
        raise _ProblemError(f"it holds no {kind}")
    return Row(document=document, rank=rank, size=len(raw))


def _bytes(value: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(value[name], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise _ProblemError(f"its `{name}` is no base64") from error


def _readable(document: Mapping[str, Any], serde: SerializerProtocol) -> None:
    if "z" not in document:
        return
    try:
        serde.loads_typed(tuple(document["z"]))
    except Exception as error:  # foreign code, on what may be anything
        why = f"{type(error).__name__}: {error}"
        raise _ProblemError(f"this saver's serde cannot read it; is it encrypted with another key? ({why})") from error


def _check_session(found: Checked, facets: Iterable[Facet]) -> None:
    for facet in facets:
        if facet.name != LIFE:
            found.others.append(facet)
            continue
        try:
            life = Life.model_validate({name: item for name, item in facet.value.items() if name not in DERIVED})
            ids.session_id(life.session_id)
            ids.thread_id(life.thread_id)
            time_of(micros_in(life.key))
            ids.name("user_id", life.user_id)
        except (ValueError, TypeError, OverflowError, DataIntegrityError) as error:
            raise _ProblemError(f"its session cannot be used ({' '.join(str(error).split())})") from error
        found.life = life
