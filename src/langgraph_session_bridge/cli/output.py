"""How the command line speaks: text for people, one JSON object for programs, exit codes for scripts."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.markup import escape

from langgraph_session_bridge.errors import (
    ConfigurationError,
    EmbeddedServerError,
    InvalidInputError,
    InvalidTypeError,
    SessionBridgeError,
    UnavailableError,
)

P = ParamSpec("P")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class ExitCode(IntEnum):
    """What the exit code of every command means."""

    OK = 0
    PROBLEM = 1
    USAGE = 2
    UNAVAILABLE = 3


def out() -> Console:
    """Where results go; without a terminal nothing is wrapped or coloured."""
    console = Console(highlight=False)
    # not `console.is_terminal`, which FORCE_COLOR sets as well (in notebooks, in CI)
    return console if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(highlight=False, width=120)


def say(text: str = "") -> None:
    """One line of plain text, however long."""
    out().print(escape(text), soft_wrap=True)


def emit(result: Any) -> None:
    """One JSON object on standard output."""
    print(json.dumps(plain(result), indent=2))  # noqa: T201


def plain(value: Any) -> Any:
    """What JSON can hold of a result."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def exit_code_of(error: SessionBridgeError) -> ExitCode:
    """Which exit code an error becomes."""
    if isinstance(error, ConfigurationError | InvalidInputError | InvalidTypeError):
        return ExitCode.USAGE
    if isinstance(error, UnavailableError | EmbeddedServerError):
        return ExitCode.UNAVAILABLE
    return ExitCode.PROBLEM


def command(function: Callable[P, ExitCode]) -> Callable[P, None]:
    """Makes a function that returns an exit code a command: errors become one red line, or JSON."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs)
        except SessionBridgeError as error:
            if kwargs.get("debug"):
                raise
            code = exit_code_of(error)
            if kwargs.get("json"):
                emit({"ok": False, "error": {"type": type(error).__name__, "message": str(error)}})
            Console(stderr=True, highlight=False).print(f"[red]error:[/] {escape(_line(error))}", soft_wrap=True)
        raise typer.Exit(code)

    return run


def _line(error: SessionBridgeError) -> str:
    return " ".join(str(error).split())
