"""The demo keeps its word: killed runs end as the uninterrupted one, and it says so where they don't."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from pymongo import MongoClient

from langgraph_session_bridge import ConfigurationError, InvalidInputError, UnavailableError
from langgraph_session_bridge.demo import DemoEvent, DemoOptions, run_demo
from langgraph_session_bridge.embedded import EmbeddedServers

PACE_S = 0.05


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A small project."""
    (tmp_path / "src").mkdir()
    (tmp_path / "README.md").write_text("# A small project\n\nIt has two modules.\n")
    lines = ["class OrderBook:", "    def add_order(self, order):", "        raise ValueError(order)"]
    (tmp_path / "src" / "orders.py").write_text("\n".join(lines * 10) + "\n")
    (tmp_path / "src" / "main.py").write_text("from orders import OrderBook\n\nOrderBook()  # TODO: use it\n")
    return tmp_path


def options(servers: EmbeddedServers, workspace: Path, **changes: object) -> DemoOptions:
    given = {
        "mongodb_uri": servers.mongodb_uri,
        "redis_url": servers.redis_url,
        "path": str(workspace),
        "seed": 1,
        "pace_s": PACE_S,
    }
    return DemoOptions(**(given | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"kills": 3, "durability": "sync", "seed": 2},
        {"durability": "exit"},
        {"ack": "majority"},
        {"redis_url": None},
    ],
    ids=str,
)
def test_a_killed_run_ends_as_the_uninterrupted_one(
    servers: EmbeddedServers, workspace: Path, changes: dict[str, object]
) -> None:
    report = run_demo(options(servers, workspace, **changes))
    assert report.ok, report.problems
    assert report.states_equal
    assert len(report.kills) == changes.get("kills", 1)
    assert 12 <= report.steps <= 20
    for kill in report.kills:
        assert kill.repeated_steps == [kill.step] or changes.get("durability") == "exit"
        assert kill.mongodb_checkpoints <= kill.acknowledged_checkpoints
        if kill.redis_entries is not None:
            assert kill.redis_entries >= kill.acknowledged_checkpoints - kill.mongodb_checkpoints
    assert threads_left(servers) == 0


def threads_left(servers: EmbeddedServers) -> int:
    with MongoClient(servers.mongodb_uri) as client:
        names = [name for name in client.list_database_names() if name.startswith("lsb_demo")]
        return sum(client[name]["checkpoints"].count_documents({}) for name in names)


def test_a_different_final_state_is_reported(servers: EmbeddedServers, workspace: Path) -> None:
    def tell(event: DemoEvent) -> None:
        if event.kind == "reference":
            (workspace / "README.md").write_text("# Another project\n")

    report = run_demo(options(servers, workspace), tell)
    assert not report.ok
    assert not report.states_equal
    assert "the final states differ in 'messages'" in report.problems
    assert "changed meanwhile" in report.problems[-1]


def test_by_default_it_looks_at_its_checkout_on_servers_that_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory(prefix="lsb", dir="/tmp") as scratch:
        monkeypatch.setenv("LSB_EMBEDDED_DIR", f"{scratch}/nothing-runs-here")
        monkeypatch.setattr(tempfile, "tempdir", scratch)
        report = run_demo(DemoOptions(seed=1, pace_s=PACE_S))
        assert report.ok, report.problems
        assert Path(report.path, "pyproject.toml").is_file()
        assert list(Path(scratch).iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"kills": 0}, InvalidInputError, "--kills is 0; the demo needs at least one"),
        ({"kills": 99}, InvalidInputError, "--kills is 99, but the assistant makes only"),
        ({"path": "/nowhere"}, InvalidInputError, "/nowhere does not exist"),
        ({"path": __file__}, InvalidInputError, "is not a directory"),
        ({"model": "no-such-provider:x"}, ConfigurationError, "--model no-such-provider:x"),
        ({"mongodb_uri": None}, InvalidInputError, "A Redis address needs a MongoDB address too"),
        ({"mongodb_uri": "http://nonsense"}, ConfigurationError, "The MongoDB address cannot be used"),
        (
            {"mongodb_uri": "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"},
            UnavailableError,
            "MongoDB did not answer",
        ),
    ],
    ids=str,
)
def test_bad_input_says_what_is_wrong(
    servers: EmbeddedServers, workspace: Path, changes: dict[str, object], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run_demo(options(servers, workspace, **changes))


def test_a_directory_without_text_is_refused(servers: EmbeddedServers, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0")
    with pytest.raises(InvalidInputError, match="holds no text files"):
        run_demo(options(servers, tmp_path))
