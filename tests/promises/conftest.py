"""Promises look into the stores, so each test has one of its own."""

from __future__ import annotations

import pytest


@pytest.fixture
def reused_store(store: str) -> str:
    """Not reused here: what is in it was put by the test itself."""
    return store
