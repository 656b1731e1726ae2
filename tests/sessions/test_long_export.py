"""A session of hundreds of turns, most of them condensed, is told, exported and imported whole, and not all at once."""

from __future__ import annotations

import json

from sessions.conftest import OpenBridge
from sessions.lengthy import talk_long

TURNS = 300


async def test_a_long_session_is_exported_piece_by_piece_and_imported_whole(open_bridge: OpenBridge) -> None:
    async with open_bridge() as bridge:
        await talk_long(bridge, "s", TURNS)
        said = [f"{who}{turn}" for turn in range(TURNS) for who in "ua"]
        assert len(await bridge.messages("s", view="model")) < 50
        entries = await bridge.sessions.timeline("s")
        assert [entry.id for entry in entries if entry.kind == "message"] == said
        assert entries[-1].turn == TURNS and sum(entry.kind == "condensation" for entry in entries) > 20
        exported = json.loads(await bridge.sessions.export("s", "openai"))["messages"]
        assert len(exported) == 2 * TURNS and exported[0]["content"] == "0"
        lines = [line async for line in bridge.sessions.export_chunks("s")]
        assert len(lines) > 2 * TURNS and max(map(len, lines)) < sum(map(len, lines)) / 20
        await bridge.sessions.import_(lines, "twin")
        assert await bridge.messages("twin") == await bridge.messages("s")
        assert await bridge.messages("twin", view="model") == await bridge.messages("s", view="model")
        again = await bridge.sessions.timeline("twin")
        assert [entry.model_dump() for entry in again] == [entry.model_dump() for entry in entries]
