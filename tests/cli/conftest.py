"""The command line as a user calls it: arguments in, exit code and text out."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.calling import Call, Outcome, Run
from langgraph_session_bridge.cli.app import app
from langgraph_session_bridge.embedded import EmbeddedServers, down


@pytest.fixture(autouse=True)
def _no_settings_of_the_user_or_the_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("LSB_") or name in ("COLUMNS", "LINES"):
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
def run(call: Call, servers: EmbeddedServers, store: str) -> Run:
    """Runs a command on a deployment of this test."""

    def on_deployment(*arguments: str) -> Outcome:
        addresses = ("--mongodb-uri", servers.mongodb_uri, "--redis-url", servers.redis_url)
        return call(*arguments, *addresses, "--database", store, "--prefix", store)

    return on_deployment


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty directory whose socket path fits; its servers are stopped in the end."""
    folder = Path(tempfile.mkdtemp(prefix="lsb", dir="/tmp"))
    yield folder
    down(folder, force=True)
    shutil.rmtree(folder)
