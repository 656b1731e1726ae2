"""The `session-bridge` command line: the entry point, which also speaks when its extra is not installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec

_NEEDED = ("typer", "rich")


def main() -> None:
    """Runs the command line."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"session-bridge needs {' and '.join(missing)}, which the extra `cli` brings: "
            'pip install "langgraph-session-bridge[cli]"\n'
        )
        sys.exit(2)
    from langgraph_session_bridge.cli.app import app

    app(prog_name="session-bridge")
