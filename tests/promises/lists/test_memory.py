"""What a process remembers of lists is bounded, however many threads it serves."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

from .growing import Story, message, messages

KB = 1024
HINTS, DECODED = 64 * KB, 512 * KB
GROWTH = 3 * KB * KB // 2
"""Most that twenty threads may add once twenty were served. Remembering the messages of one thread takes 0.3 MB."""


async def serve(saver: Any, start: int, stop: int) -> None:
    """Threads of 200 messages each: put, written to, appended to, read."""
    for number in range(start, stop):
        story, begin = Story(f"thread-{number}"), 1000 * number
        await story.put(saver, {"messages": messages(begin, begin + 199, 60)})
        await story.write(saver, ("messages", new := message(begin + 199)))
        await story.put(saver, {"messages": [*messages(begin, begin + 199, 60), new]})
        found = await saver.aget_tuple(story.at())
        assert len(found.checkpoint["channel_values"]["messages"]) == 200
        settings = saver._runtime.settings
        assert saver._runtime.shared.hints.weight <= settings.hints_max_bytes
        assert saver._templates.weight <= settings.decoded_max_bytes
    await saver.aflush()


async def test_a_process_that_serves_many_threads_remembers_a_bounded_part(make_saver: Any) -> None:
    async with make_saver(hints_max_bytes=HINTS, decoded_max_bytes=DECODED) as saver:
        assert saver._runtime.shared.hints.weight == saver._templates.weight == 0
        await serve(saver, 0, 12)
        assert saver._runtime.shared.hints.weight > HINTS / 2 and saver._templates.weight > DECODED / 2
        tracemalloc.start()
        try:
            await serve(saver, 12, 20)
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            await serve(saver, 20, 40)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < GROWTH, f"20 threads added {(after - before) / KB:,.0f} KB"


async def test_a_deleted_thread_is_forgotten(make_saver: Any) -> None:
    async with make_saver() as saver:
        await serve(saver, 0, 3)
        weight = saver._runtime.shared.hints.weight
        await saver.adelete_thread("thread-1")
        assert 0 < saver._runtime.shared.hints.weight <= weight * 3 / 4
