"""Prices of models: what a request cost, in millionths of the currency that the application counts in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from langgraph_session_bridge.errors import InvalidInputError

logger = logging.getLogger(__name__)

_MOST = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a million tokens cost.

    Attributes:
        input: Of what the model reads.
        output: Of what it writes, thoughts included.
        cached_input: Of what it reads from a cache; as other input unless given.
    """

    input: float
    output: float
    cached_input: float | None = None

    def __post_init__(self) -> None:
        """Raises `InvalidInputError` for a price below zero."""
        if not all(price >= 0 for price in (self.input, self.output, self.cached_input or 0)):
            raise InvalidInputError(f"{self} cannot be: prices are 0 or more.")

    def of(self, amounts: Mapping[str, int]) -> float:
        """What a request cost that used so many `input_tokens`, `output_tokens` and `cached_input_tokens`."""
        read, written = amounts.get("input_tokens", 0), amounts.get("output_tokens", 0)
        cached = min(read, amounts.get("cached_input_tokens", 0))
        cheaper = self.input if self.cached_input is None else self.cached_input
        return (read - cached) * self.input + cached * cheaper + written * self.output


PriceOf = Callable[[str, str, Mapping[str, int]], float | None]
"""Gets provider, model and the amounts of `ModelUsage`; returns millionths, or `None` if it knows no price."""

Prices = Mapping[str, Price] | PriceOf
"""Prices by `model` or `provider/model`, exactly as they are reported, or a function that knows them."""


class Pricing:
    """Tells what requests cost, once for each: a total never changes when prices do."""

    def __init__(self, prices: Prices | None) -> None:
        """Knows prices; without any everything costs nothing."""
        self._prices = prices
        self._unknown: set[tuple[str, str]] = set()

    def cost(self, provider: str, model: str, amounts: Mapping[str, int]) -> int:
        """Millionths, rounded; 0 if nobody knows, which is logged once for each model."""
        prices = self._prices
        if prices is None:
            return 0
        if callable(prices):
            cost = self._asked(prices, provider, model, amounts)
        else:
            price = prices.get(f"{provider}/{model}") or prices.get(model)
            cost = None if price is None else price.of(amounts)
        if cost is not None and 0 <= cost < _MOST:
            return round(cost)
        if (provider, model) not in self._unknown and len(self._unknown) < 1000:
            self._unknown.add((provider, model))
            logger.warning("No price is known of model %r of %r: what it costs is not counted.", model, provider)
        return 0

    def _asked(self, prices: PriceOf, provider: str, model: str, amounts: Mapping[str, int]) -> float | None:
        try:
            return prices(provider, model, amounts)
        except Exception:  # the border: foreign code, and a request that is counted must not fail of it
            logger.exception("What %r of %r costs could not be told.", model, provider)
            return None


def priced(prices: Any) -> Pricing:
    """Prices as an application gives them.

    Raises:
        InvalidInputError: They are neither a function nor a mapping to `Price`.
    """
    fits = prices is None or callable(prices)
    if not fits and isinstance(prices, Mapping):
        fits = all(isinstance(price, Price) for price in prices.values())
    if not fits:
        raise InvalidInputError(
            "prices must be a mapping from models to `Price`, or a function; see `sessions.prices`."
        )
    return Pricing(cast("Prices | None", prices))
