"""Any sequence of calls, flushes, lost caches and restarts gives what the model gives.

`LSB_HYPOTHESIS_PROFILE=long` looks further.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from contract.reference import Subject
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import SaverMachine

COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
}
PROFILES = {
    "default": settings(max_examples=25, stateful_step_count=30, **COMMON),
    "long": settings(max_examples=500, stateful_step_count=60, **COMMON),
}


@pytest.mark.timeout(900)  # shrinking a failure takes minutes; a timeout would hide the example
def test_the_saver_behaves_like_the_model(subject_factory: Callable[[], Subject]) -> None:
    profile = PROFILES[os.environ.get("LSB_HYPOTHESIS_PROFILE", "default")]
    run_state_machine_as_test(lambda: SaverMachine(subject_factory), settings=profile)
