"""`up`, `status`, `down`, `demo` and what is common to all commands: exit codes, JSON, one line for an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import langgraph_session_bridge.cli
from cli.calling import Call
from langgraph_session_bridge import InvalidInputError
from langgraph_session_bridge.embedded import EmbeddedServers, attach


def test_embedded_servers_from_up_to_down(call: Call, home: Path) -> None:
    assert call("status", "--path", home, "--json").code == 3
    started = call("up", "--path", home, "--json")
    assert (started.code, started.json["ok"], started.json["kept"]) == (0, True, True)
    shown = call("up", "--path", home)
    assert f"export LSB_MONGODB_URI='{started.json['mongodb_uri']}'" in shown.out
    found = call("status", "--path", home, "--json")
    assert found.json == started.json
    assert {server["name"] for server in found.json["servers"]} == {"mongodb", "redis"}
    assert "running" in call("status", "--path", home).out
    with attach(home):
        refused = call("down", "--path", home, "--json")
        assert (refused.code, refused.json["ok"], refused.json["refused"]) == (1, False, True)
        assert "--force" in call("down", "--path", home).out
        assert call("down", "--path", home, "--force").code == 0
    stopped = call("down", "--path", home, "--json")
    assert (stopped.code, stopped.json["stopped"]) == (0, [])
    assert "stopped" in call("status", "--path", home).out


def test_nothing_was_ever_started(call: Call, home: Path) -> None:
    found = call("status", "--path", home)
    assert found.code == 3
    assert f"no servers were ever started in {home} (session-bridge up)" in found.out
    assert "nothing was running" in call("down", "--path", home).out


@pytest.mark.parametrize("verb", ["up", "status", "down"])
def test_a_file_is_no_directory(call: Call, tmp_path: Path, verb: str) -> None:
    file = tmp_path / "file"
    file.touch()
    outcome = call(verb, "--path", file)
    assert outcome.code == 2
    assert outcome.err == f"error: {file} is a file; embedded servers need a directory\n"


def test_demo_as_json(call: Call, servers: EmbeddedServers, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n\nA line.\n")
    addresses = ("--mongodb-uri", servers.mongodb_uri, "--redis-url", servers.redis_url)
    outcome = call("demo", *addresses, "--path", tmp_path, "--seed", "1", "--pace", "0.05", "--json")
    assert outcome.code == 0
    assert outcome.json["ok"] is True
    assert outcome.json["states_equal"] is True
    assert set(outcome.json["kills"][0]) >= {"step", "redis_entries", "mongodb_checkpoints", "resume_s"}
    assert outcome.json["put_p99_ms"] >= outcome.json["put_p50_ms"] > 0


def test_demo_shows_what_happens(call: Call, servers: EmbeddedServers, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n\nA line.\n")
    addresses = ("--mongodb-uri", servers.mongodb_uri, "--redis-url", servers.redis_url)
    outcome = call("demo", *addresses, "--path", tmp_path, "--seed", "1", "--pace", "0.05")
    assert outcome.code == 0
    for words in ("kill -9", "a new process", "only in Redis", "in MongoDB", "put", "--seed 1", "equal those of"):
        assert words in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["demo", "--path", "/nowhere"], 2, "/nowhere does not exist"),
        (["demo", "--model", "no-such-provider:x"], 2, "--model no-such-provider:x"),
        (["demo", "--mongodb-uri", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"], 3, "MongoDB did not answer"),
        (["demo", "--redis-url", "redis://127.0.0.1:1"], 2, "needs a MongoDB address too"),
    ],
)
def test_a_mistake_is_one_line(call: Call, arguments: list[str], code: int, message: str) -> None:
    outcome = call(*arguments)
    assert outcome.code == code
    assert outcome.err.startswith("error: ")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    told = call(*arguments, "--json")
    assert (told.code, told.json["ok"]) == (code, False)
    assert message in told.json["error"]["message"]


def test_debug_shows_the_traceback(call: Call) -> None:
    with pytest.raises(InvalidInputError):
        call("demo", "--path", "/nowhere", "--debug")


@pytest.mark.parametrize("arguments", [["demo", "--kills", "many"], ["demo", "--ack", "never"], ["fly"], ["up", "-x"]])
def test_usage_errors_exit_with_2(call: Call, arguments: list[str]) -> None:
    outcome = call(*arguments)
    assert outcome.code == 2
    assert "Usage:" in outcome.err


def test_help_tells_the_exit_codes(call: Call) -> None:
    for verb in ("demo", "up", "down", "status", "doctor"):
        outcome = call(verb, "--help")
        assert outcome.code == 0
        assert "Exit codes" in outcome.out
    assert call("--version").out.startswith("langgraph-session-bridge ")


def test_the_command_is_what_pyproject_names() -> None:
    program = "from langgraph_session_bridge.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True)
    assert "doctor" in result.stdout


def test_without_the_extra_it_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(langgraph_session_bridge.cli, "_NEEDED", ("typer", "a_package_that_is_not_there"))
    with pytest.raises(SystemExit) as exit_:
        langgraph_session_bridge.cli.main()
    assert exit_.value.code == 2
    assert 'pip install "langgraph-session-bridge[cli]"' in capsys.readouterr().err
