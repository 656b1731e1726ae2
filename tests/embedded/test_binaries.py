"""Which binaries are used, and what is said when none can be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from langgraph_session_bridge.embedded import attach, find_mongod, find_redis_server
from langgraph_session_bridge.errors import EmbeddedServerError

MISSING = "error while loading shared libraries: {}: cannot open shared object file: No such file"


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    """Makes an executable script that prints a text and ends with a code."""

    def make(text: str, *, code: int = 0, name: str = "fake") -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit {code}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.mark.parametrize(
    ("library", "package"),
    [("libcurl.so.4", "libcurl4"), ("libcrypto.so.3", "libssl3"), ("liblzma.so.5", "liblzma5")],
)
def test_missing_library_is_named_with_its_package_and_the_alternatives(
    script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, home: Path, library: str, package: str
) -> None:
    monkeypatch.setenv("LSB_MONGOD", str(script(f"mongod: {MISSING.format(library)}", code=127)))
    with pytest.raises(EmbeddedServerError) as caught:
        attach(home)
    alternatives = ("from_conn_string", "compose.yaml", "PATH", "LSB_MONGOD")
    for words in (library, f"apt-get install {package}", *alternatives):
        assert words in str(caught.value)
    assert not (home / "state.json").exists(), "nothing was started"


@pytest.mark.parametrize(
    ("said", "library"),
    [
        ("Error loading shared library libssl.so.3: No such file or directory (needed by x)", "libssl.so.3"),
        ("dyld[1]: Library not loaded: /opt/lib/liblzma.5.dylib", "liblzma.5.dylib"),
        (MISSING.format("libunheard.so.1"), "libunheard.so.1"),
    ],
)
def test_other_loaders_are_understood(
    script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, said: str, library: str
) -> None:
    monkeypatch.setenv("LSB_MONGOD", str(script(said, code=127)))
    with pytest.raises(EmbeddedServerError, match=f"the shared library {library} is missing"):
        find_mongod()


def test_named_binary_is_used_and_never_replaced(script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = script("Valkey server v=8.1.0 sha=0")
    monkeypatch.setenv("LSB_REDIS_SERVER", str(chosen))
    found = find_redis_server()
    assert (found.path, found.version_text) == (chosen, "8.1.0")
    monkeypatch.setenv("LSB_REDIS_SERVER", str(chosen.with_name("absent")))
    with pytest.raises(EmbeddedServerError, match="no such file"):
        find_redis_server()


def test_too_old_server_is_refused(script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSB_REDIS_SERVER", str(script("Redis server v=6.0.16 sha=0")))
    with pytest.raises(EmbeddedServerError, match=r"version 6\.0\.16 is too old, 6\.2"):
        find_redis_server()


def test_file_without_the_executable_bit_is_named(script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = script("db version v7.0.0")
    path.chmod(0o644)
    monkeypatch.setenv("LSB_MONGOD", str(path))
    with pytest.raises(EmbeddedServerError, match=r"chmod \+x"):
        find_mongod()


def test_binary_on_path_is_found_when_no_wheel_has_one(
    script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = script("db version v7.0.5", name="mongod")
    monkeypatch.delenv("LSB_MONGOD", raising=False)
    monkeypatch.setattr("langgraph_session_bridge.embedded.binaries.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert find_mongod().path == on_path
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EmbeddedServerError, match=r"none is installed.*langgraph-session-bridge\[embedded\]"):
        find_mongod()


def test_wheel_file_that_lost_its_executable_bit_is_repaired(
    script: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "site" / "fiftyone"
    (package / "db" / "bin").mkdir(parents=True)
    binary = script("db version v6.0.5").rename(package / "db" / "bin" / "mongod")
    binary.chmod(0o644)
    monkeypatch.delenv("LSB_MONGOD", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    monkeypatch.delitem(sys.modules, "fiftyone", raising=False)
    assert find_mongod().path == binary


def test_unsupported_platform_is_told_the_alternatives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("langgraph_session_bridge.embedded.binaries.sys.platform", "win32")
    with pytest.raises(EmbeddedServerError, match=r"Linux and macOS.*from_conn_string.*compose\.yaml"):
        attach(tmp_path / "x")
    assert not (tmp_path / "x").exists()
