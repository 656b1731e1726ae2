"""What is tested here does not depend on the MongoDB driver; `tests/contract` runs over both."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["memory-reference", "redis+pymongo", "mongo+pymongo"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)
