"""Sketches: quantiles within their stated error, and the same sketch in whatever order parts of it are merged."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_session_bridge.errors import InvalidInputError
from langgraph_session_bridge.records.audio.sketch import HIGHEST_S, LOWEST_S, RELATIVE_ERROR, Sketch

observations = st.lists(st.floats(0, HIGHEST_S), min_size=1, max_size=200)
shares = st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0]) | st.floats(0, 1)


def sketch_of(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


@given(observations, shares)
def test_quantiles_are_within_the_stated_error(values: list[float], share: float) -> None:
    exact = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    assert abs(sketch_of(values).quantile(share) - exact) <= RELATIVE_ERROR * exact * (1 + 1e-9) + LOWEST_S


@given(observations)
def test_count_mean_and_extremes_are_exact(values: list[float]) -> None:
    sketch = sketch_of(values)
    assert (sketch.count, sketch.minimum, sketch.maximum) == (len(values), min(values), max(values))
    assert sketch.mean == pytest.approx(math.fsum(values) / len(values), abs=1e-9)
    assert sketch.quantile(0) >= min(values) and sketch.quantile(1) <= max(values)


@given(st.lists(observations, min_size=1, max_size=6), st.randoms())
def test_merging_in_any_order_equals_one_sketch(parts: list[list[float]], chance: random.Random) -> None:
    whole = sketch_of([value for part in parts for value in part])
    sketches = [Sketch.unpacked(sketch_of(part).packed()) for part in parts]
    chance.shuffle(sketches)
    while len(sketches) > 1:
        first = sketches.pop(chance.randrange(len(sketches)))
        second = sketches.pop(chance.randrange(len(sketches)))
        sketches.insert(chance.randrange(len(sketches) + 1), Sketch.merged([first, second]))
    assert sketches == [whole]


def test_a_sketch_stays_small_whatever_is_observed() -> None:
    sketch = sketch_of([LOWEST_S * 1.01**power for power in range(3_000) if LOWEST_S * 1.01**power <= HIGHEST_S])
    assert len(sketch.buckets) <= 255


@pytest.mark.parametrize("seconds", [-0.001, math.nan, math.inf, HIGHEST_S * 2])
def test_what_nobody_can_have_observed_is_refused(seconds: float) -> None:
    sketch = Sketch()
    with pytest.raises(InvalidInputError, match="observed"):
        sketch.add(seconds)
    assert sketch == Sketch()


def test_a_sketch_of_nothing_has_no_quantiles() -> None:
    with pytest.raises(InvalidInputError):
        Sketch().quantile(0.5)
    assert Sketch().mean == 0
