"""The formats in which a session is exported."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.sessions.export import lines, markdown, openai, page, sharegpt, table
from langgraph_session_bridge.sessions.export.timeline import Source

FormatName = Literal["jsonl", "openai", "sharegpt", "markdown", "csv", "html"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        write: Writes a session, piece by piece.
        suffix: What files of it are called.
        media_type: What it is called on the web.
        lossless: Whether it can be imported again; then secrets stay in it, unless it is told otherwise.
    """

    write: Callable[[Source], AsyncGenerator[str, None]]
    suffix: str
    media_type: str
    lossless: bool = False


FORMATS: Mapping[FormatName, Format] = {
    "jsonl": Format(write=lines.write, suffix=".jsonl", media_type="application/jsonl", lossless=True),
    "openai": Format(write=openai.write, suffix=".json", media_type="application/json"),
    "sharegpt": Format(write=sharegpt.write, suffix=".json", media_type="application/json"),
    "markdown": Format(write=markdown.write, suffix=".md", media_type="text/markdown; charset=utf-8"),
    "csv": Format(write=table.write, suffix=".csv", media_type="text/csv; charset=utf-8"),
    "html": Format(write=page.write, suffix=".html", media_type="text/html; charset=utf-8"),
}


def format_of(name: str) -> Format:
    """A format by its name.

    Raises:
        InvalidInputError: There is none of that name.
    """
    if name not in get_args(FormatName):
        raise InvalidInputError(f"There is no format {name!r}; there are {', '.join(FORMATS)}.")
    return FORMATS[name]  # type: ignore[index]
