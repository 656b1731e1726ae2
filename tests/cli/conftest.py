"""The command line as a user calls it: arguments in, exit code and text out."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from langgraph_session_bridge.cli.app import app
from langgraph_session_bridge.embedded import down


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Its output as one JSON object."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


Call = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("LSB_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LSB_EMBEDDED_DIR", str(tmp_path / "nothing-runs-here"))


@pytest.fixture
def call() -> Call:
    """Runs a command."""

    def run(*arguments: str | Path) -> Outcome:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="session-bridge")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(code=result.exit_code, out=result.stdout, err=result.stderr)

    return run


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty directory whose socket path fits; its servers are stopped in the end."""
    folder = Path(tempfile.mkdtemp(prefix="lsb", dir="/tmp"))
    yield folder
    down(folder, force=True)
    shutil.rmtree(folder)
