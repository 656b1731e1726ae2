"""The table of states: every pair of them is allowed or refused as the documentation says."""

from __future__ import annotations

import itertools

import pytest

from langgraph_session_bridge import InvalidTransitionError
from langgraph_session_bridge.sessions.states import STATUSES, Status, allowed, check, events, target

ALLOWED = {
    ("created", "active"): {"start", "run"},
    ("active", "paused"): {"pause"},
    ("paused", "active"): {"resume"},
    ("active", "interrupted"): {"interrupt"},
    ("interrupted", "active"): {"resume", "run"},
    ("active", "error"): {"fail"},
    ("error", "active"): {"resume", "run"},
    ("ended", "active"): {"reopen"},
    **{(status, "ended"): {"end"} for status in STATUSES if status != "ended"},
    **{(status, "expired"): {"expire"} for status in STATUSES if status != "expired"},
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(STATUSES, STATUSES)))
def test_each_pair_is_allowed_or_refused(before: Status, after: Status) -> None:
    if (before, after) in ALLOWED:
        assert check(before, after) == events(before, after) == ALLOWED[before, after]
        for event in events(before, after):
            assert target(event, before) == after
    else:
        with pytest.raises(InvalidTransitionError) as refused:
            check(before, after)
        for event, status in allowed(before).items():
            assert f"{event} (to {status})" in str(refused.value)


def test_a_refusal_names_the_session_its_status_and_what_is_possible() -> None:
    with pytest.raises(
        InvalidTransitionError, match=r"Session 's' is ended: pause is not possible.*reopen \(to active"
    ):
        target("pause", "ended", "Session 's'")
    assert set(allowed("ended")) == {"reopen", "expire"}
