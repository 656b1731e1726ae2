"""Directories and servers that cannot work are refused with what happened and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from langgraph_session_bridge.embedded import (
    Binary,
    attach,
    default_directory,
    down,
    filesystems,
    redis_server,
    status,
)
from langgraph_session_bridge.embedded.layout import Layout
from langgraph_session_bridge.errors import EmbeddedServerError, InvalidInputError

from .conftest import pids

DYING_SERVER = """#!/bin/sh
if [ "$1" = --version ]; then echo 'Valkey server v=9.0.0'; exit 0; fi
echo 'Fatal: the flux is not aligned'
exit 1
"""


@pytest.mark.parametrize("call", [attach, status, down])
def test_file_as_path_is_refused(tmp_path: Path, call: object) -> None:
    path = tmp_path / "file"
    path.touch()
    assert callable(call)
    with pytest.raises(InvalidInputError, match="is a file"):
        call(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_directory_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(EmbeddedServerError, match=r"cannot use the directory.*LSB_EMBEDDED_DIR"):
        attach(tmp_path / "inside")


def test_directory_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match=r"cannot use the directory.*LSB_EMBEDDED_DIR"):
        attach(tmp_path / "file" / "inside")


def test_network_file_system_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystems, "_type_of", lambda path: "nfs4")
    with pytest.raises(EmbeddedServerError, match=r"network file system \(nfs4\)"):
        attach(home)


def test_mount_points_with_spaces_are_read() -> None:
    line = r"36 35 98:0 / /mnt/my\040disk rw,noatime shared:1 - nfs4 server:/x rw"
    assert list(filesystems._mounts(line)) == [(Path("/mnt/my disk"), "nfs4")]


def test_server_that_ends_while_it_starts_reports_its_log_and_leaves_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = home / "dying"
    fake.write_text(DYING_SERVER)
    fake.chmod(0o755)
    monkeypatch.setenv("LSB_REDIS_SERVER", str(fake))
    with pytest.raises(EmbeddedServerError) as caught:
        attach(home)
    assert "the flux is not aligned" in str(caught.value)
    assert str(home / "redis.log") in str(caught.value)
    assert pids(status(home)) == []
    assert status(home).clients in (0, None)


def test_mongod_that_cannot_use_its_data_reports_its_log(home: Path) -> None:
    (home / "mongodb").mkdir()
    (home / "mongodb" / "storage.bson").write_bytes(b"not a database")
    with pytest.raises(EmbeddedServerError) as caught:
        attach(home)
    assert "the embedded mongodb server" in str(caught.value)
    assert "Unable to read the storage engine metadata file" in str(caught.value)
    assert pids(status(home)) == []


def test_start_that_takes_too_long_is_ended(home: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="did not serve in time"):
        attach(home, start_timeout_s=0.02)
    assert pids(status(home)) == []
    with pytest.raises(InvalidInputError, match="positive"):
        attach(home, start_timeout_s=0)


def test_old_redis_does_not_start_empty_beside_newer_files(tmp_path: Path) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    old = Binary(path=Path("/x/redis-server"), version=(6, 2, 14))
    with pytest.raises(EmbeddedServerError, match=r"6\.2\.14.*would start empty"):
        redis_server.command(Layout(root=tmp_path), old, 1)


def test_status_and_down_of_a_directory_that_never_was_create_nothing(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    assert not status(absent).running
    assert down(absent).stopped == ()
    assert not absent.exists()


def test_user_without_a_home_directory_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langgraph_session_bridge.embedded.layout.os.path.expanduser", lambda path: path)
    with pytest.raises(EmbeddedServerError, match="LSB_EMBEDDED_DIR"):
        status("~/data")


def test_default_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("langgraph_session_bridge.embedded.layout.sys.platform", "linux")
    monkeypatch.delenv("LSB_EMBEDDED_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "langgraph-session-bridge"
    monkeypatch.setenv("LSB_EMBEDDED_DIR", str(tmp_path / "mine"))
    assert default_directory() == tmp_path / "mine"
