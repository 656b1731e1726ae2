"""Servers that ask who one is, once for all tests here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langgraph_session_bridge import SessionBridgeSaver

from .accounts import SETUP, addresses, call
from .guarded import GuardedServers, guarded_servers


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LSB_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="package")
def guarded() -> Iterator[GuardedServers]:
    """Servers on which somebody followed the documentation."""
    with guarded_servers() as servers:
        servers.create_accounts()
        assert call(servers, SETUP, "health").exit_code == 0
        yield servers


@pytest.fixture(autouse=True)
def _empty(guarded: GuardedServers) -> None:
    guarded.forget_everything()


@pytest.fixture
def open_saver(guarded: GuardedServers) -> Iterator[Callable[..., SessionBridgeSaver]]:
    """Opens savers under an account; they are closed in the end, when all rights are back."""
    opened: list[SessionBridgeSaver] = []

    def open_one(user: str, **settings: Any) -> SessionBridgeSaver:
        saver = SessionBridgeSaver.from_conn_string(*addresses(guarded, user), **{"ack": "cache", **settings})
        opened.append(saver)
        return saver

    yield open_one
    for saver in opened:
        saver.close()
