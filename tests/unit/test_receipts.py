"""A receipt tells all who wait for it, in any thread and loop, once and for all; many of them wake a loop once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from langgraph_session_bridge import UnavailableError
from langgraph_session_bridge.records.receipts import Receipt, settle_all


async def waited(receipt: Receipt) -> str:
    try:
        await receipt
    except UnavailableError as error:
        return str(error)
    return "stored"


async def test_tasks_and_threads_that_wait_are_told() -> None:
    receipt = Receipt()
    tasks = [asyncio.create_task(waited(receipt)) for _ in range(3)]
    threads = [asyncio.create_task(asyncio.to_thread(receipt.wait, 10)) for _ in range(2)]
    elsewhere = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(waited(receipt))))
    await asyncio.sleep(0.05)
    assert not receipt.done and not any(task.done() for task in tasks)
    receipt.settle()
    assert [await task for task in tasks] == ["stored"] * 3 and await elsewhere == "stored"
    await asyncio.gather(*threads)
    assert await waited(receipt) == "stored", "and whoever asks later"


async def test_the_first_word_counts() -> None:
    receipt = Receipt()
    receipt.settle(UnavailableError("nobody"))
    receipt.settle()
    assert await waited(receipt) == "nobody"
    with pytest.raises(UnavailableError):
        receipt.wait(1)


async def test_who_gives_up_waiting_changes_nothing_for_others() -> None:
    receipt = Receipt()
    gives_up, stays = asyncio.create_task(waited(receipt)), asyncio.create_task(waited(receipt))
    await asyncio.sleep(0)
    gives_up.cancel()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await receipt
    receipt.settle()
    assert await stays == "stored" and gives_up.cancelled()


async def test_a_loop_is_woken_once_for_many() -> None:
    loop, woken = asyncio.get_running_loop(), []
    call: Any = loop.call_soon_threadsafe
    receipts = [Receipt() for _ in range(20)]
    tasks = [asyncio.create_task(waited(receipt)) for receipt in receipts]
    await asyncio.sleep(0)
    loop.call_soon_threadsafe = lambda *work: woken.append(1) or call(*work)  # type: ignore[func-returns-value,assignment,method-assign]
    settling = threading.Thread(target=settle_all, args=([(receipt, None) for receipt in receipts],))
    settling.start()
    assert await asyncio.gather(*tasks) == ["stored"] * 20
    settling.join()
    assert len(woken) == 1


async def test_no_wake_is_missed_however_they_race() -> None:
    receipts = [Receipt() for _ in range(2000)]

    def settle() -> None:
        for receipt in receipts:
            receipt.settle()

    settling = threading.Thread(target=settle)
    settling.start()
    async with asyncio.timeout(20):
        for start in range(0, len(receipts), 10):
            await asyncio.gather(*map(waited, receipts[start : start + 10]))
    settling.join()


def test_a_loop_that_was_closed_hurts_nobody() -> None:
    receipt, held = Receipt(), []

    async def begin() -> None:
        held.append(asyncio.create_task(waited(receipt)))
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    held[0].cancel()
    loop.run_until_complete(asyncio.gather(*held, return_exceptions=True))
    loop.close()
    receipt.settle()
    receipt.wait(1)
