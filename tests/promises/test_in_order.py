"""Commands wait for their turn in the order they came: nobody starves behind those who came later."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


@pytest.fixture(params=["mongo+pymongo", "mongo+motor"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_busy_caller_does_not_overtake_those_who_wait_for_mongodb(make_saver: Any) -> None:
    async with make_saver(max_concurrency=1) as saver:
        archive = (await saver._runtime.pipeline()).archive
        order: list[str] = []

        async def ask(name: str) -> None:
            await archive.generation("t")
            order.append(name)

        async def keep_asking() -> None:
            while order.count("waiting") < 30:
                await ask("busy")

        callers = [keep_asking() for _ in range(3)]
        await asyncio.gather(*callers, *[ask("waiting") for _ in range(30)])
        assert order.count("busy") <= 10, "everybody who waits goes before the same caller goes again"
