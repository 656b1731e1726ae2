"""`export`, `import` and `replay`: an operator takes a session elsewhere, and looks at what happened in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.calling import Run
from langgraph_session_bridge import SessionBridge
from langgraph_session_bridge.embedded import EmbeddedServers

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.fixture
def bridge(servers: EmbeddedServers, store: str) -> Iterator[SessionBridge]:
    """An application with a session in which two tools ran."""
    addresses = (servers.mongodb_uri, servers.redis_url)
    with SessionBridge.from_conn_string(*addresses, database=store, prefix=store) as bridge:
        bridge.sessions.create("s", user_id="anna", title=f"Where is [red]my[/red] parcel? {KEY}").result()
        for name, result in (("find_order", f"found with {KEY}"), ("pay", "[bold]paid[/bold]\n" * 20)):
            bridge.records.record_tool_execution("s", name, result=result)
        yield bridge


@pytest.mark.usefixtures("bridge")
def test_a_session_is_exported_and_imported_again(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    done = run("export", "s", "-o", str(path))
    assert done.code == 0 and done.out == f"wrote {path} ({path.stat().st_size:,} bytes)\n"
    again = run("import", str(path), "--as", "twin", "--user", "ben", "--json")
    assert again.json == {"ok": True, "session_id": "twin", "thread_id": "twin", "status": "created"}
    assert [call["tool_name"] for call in run("tools", "twin", "--json").json["tool_executions"]] == [
        "pay",
        "find_order",
    ]
    assert run("show", "twin", "--json").json["session"]["user_id"] == "ben"
    refused = run("import", str(path))
    assert refused.code == 1 and "exists already" in refused.err
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    cut = run("import", str(path), "--as", "cut")
    assert cut.code == 2 and "cut off" in cut.err


@pytest.mark.usefixtures("bridge")
def test_formats_go_to_standard_out_without_secrets_unless_asked_for(run: Run, tmp_path: Path) -> None:
    shown = run("export", "s", "--format", "markdown")
    assert shown.code == 0 and shown.out.startswith("# Where is \\[red\\]my") and KEY not in shown.out
    assert KEY in run("export", "s", "-f", "markdown", "--no-redact").out
    assert KEY not in run("export", "s", "--redact").out
    rows = run("export", "s", "-f", "csv", "--kind", "tool").out.splitlines()
    assert rows[0].startswith("n,at,") and all(",tool," in row for row in rows[1:2])
    page = tmp_path / "s.html"
    assert run("export", "s", "-f", "html", "-o", str(page)).code == 0 and page.read_text().startswith(
        "<!doctype html>"
    )
    assert run("export", "s", "-f", "pdf").code == 2
    assert run("export", "s", "--kind", "poem").code == 2
    assert run("export", "s", "-o", str(tmp_path / "no" / "folder")).code == 2
    assert run("export", "nobody").code == 1


@pytest.mark.usefixtures("bridge")
def test_a_replay_shows_entries_and_obeys_nothing_in_them(run: Run) -> None:
    shown = run("replay", "s", "--speed", "0")
    lines = shown.out.splitlines()
    assert shown.code == 0 and "Created" in lines[0] and "find_order" in lines[1]
    assert "[bold]paid[/bold]" in shown.out and "more lines" in shown.out and KEY not in shown.out
    rows = [
        json.loads(line) for line in run("replay", "s", "--speed", "0", "--kind", "tool", "--json").out.splitlines()
    ]
    assert [row["title"] for row in rows] == ["find_order", "pay"]
    assert [json.loads(line)["n"] for line in run("replay", "s", "--start", "2", "--json").out.splitlines()] == [2]
    assert run("replay", "s", "--kind", "poem").code == 2
    assert run("replay", "nobody").code == 1


@pytest.mark.usefixtures("bridge")
def test_ctrl_c_ends_a_replay_without_a_traceback(servers: EmbeddedServers, store: str) -> None:
    options = ["--mongodb-uri", servers.mongodb_uri, "--redis-url", servers.redis_url]
    options += ["--database", store, "--prefix", store, "--speed", "0.0001", "--json"]
    command = [sys.executable, "-m", "langgraph_session_bridge.cli", "replay", "s", *options]
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys; sys.argv={command[2:]!r}; from langgraph_session_bridge.cli import main; main()",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert '"Created"' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "") and time.monotonic() - began < 15
