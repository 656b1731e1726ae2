"""Large lists and dictionaries come back as they were put, whatever happened to their documents meanwhile.

`LSB_HYPOTHESIS_PROFILE=long` looks further.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from contract.reference import Subject
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from .growing import GrowingMachine
from .test_state_machine import COMMON

PROFILES = {
    "default": settings(max_examples=20, stateful_step_count=25, **COMMON),
    "long": settings(max_examples=400, stateful_step_count=50, **COMMON),
}


@pytest.fixture(params=["redis+pymongo", "mongo+pymongo"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.timeout(900)  # shrinking a failure takes minutes; a timeout would hide the example
def test_lists_and_dictionaries_are_what_was_put(subject_factory: Callable[[], Subject]) -> None:
    profile = PROFILES[os.environ.get("LSB_HYPOTHESIS_PROFILE", "default")]
    run_state_machine_as_test(lambda: GrowingMachine(subject_factory), settings=profile)
