"""Templates: configurations by name, shared by all processes and users, with which sessions are made."""

from __future__ import annotations

import pytest

from langgraph_session_bridge import (
    ConfigurationError,
    InvalidInputError,
    SessionBridge,
    SessionManager,
    SessionNotFoundError,
)
from langgraph_session_bridge.sessions.branches.templates import THREAD
from langgraph_session_bridge.sessions.stores.memory_store import MemorySessionStore
from sessions.conftest import OpenBridge
from sessions.test_branching import bridge

__all__ = ["bridge"]


async def test_sessions_are_made_with_a_template(bridge: SessionBridge) -> None:
    templates = bridge.sessions.templates
    saved = await templates.save("support", {"model": "m", "temperature": 0.2}, tags=["s"], idle_ttl_s=60)
    assert await templates.get("support") == saved and saved.config.model == "m"
    made = await bridge.sessions.create(template="support", user_id="anna", tags=["mine"])
    assert (made.config.model, made.tags, made.idle_ttl_s, made.user_id) == ("m", ["mine"], 60.0, "anna")
    assert (made.config.model_extra or {})["temperature"] == 0.2
    await templates.save("support", model_of("n"))
    assert (await bridge.sessions.create(template="support")).config.model == "n"
    assert (await bridge.sessions.get(made)).config.model == "m", "what was made stays"
    await templates.save("a")
    assert [template.name for template in await templates.list()] == ["a", "support"]
    assert await templates.delete("support") is True and await templates.delete("support") is False
    with pytest.raises(SessionNotFoundError, match="template 'support'"):
        await bridge.sessions.create(template="support")
    assert [template.name for template in await templates.list()] == ["a"]
    await templates.save("support")
    assert (await templates.get("support")).fields == {}
    assert await bridge.sessions.count() == 2, "templates are no sessions"


def model_of(name: str) -> dict[str, str]:
    return {"model": name}


async def test_users_share_templates_and_change_none(bridge: SessionBridge) -> None:
    await bridge.sessions.templates.save("support", model_of("m"))
    anna = bridge.sessions.for_user("anna")
    assert (await anna.create(template="support")).user_id == "anna"
    assert [template.name for template in await anna.templates.list()] == ["support"]
    for change in (anna.templates.save("support"), anna.templates.delete("support")):
        with pytest.raises(InvalidInputError, match="shared"):
            await change


async def test_another_process_sees_them(open_bridge: OpenBridge) -> None:
    async with open_bridge() as one, open_bridge() as other:
        await one.sessions.templates.save("support", model_of("m"))
        assert (await other.sessions.create(template="support")).config.model == "m"


async def test_what_cannot_be_a_template_is_told(bridge: SessionBridge) -> None:
    templates = bridge.sessions.templates
    with pytest.raises(InvalidInputError, match="all users"):
        await templates.save("t", user_id="anna")
    with pytest.raises(InvalidInputError, match="twice"):
        await templates.save("t", {}, config={})
    with pytest.raises(InvalidInputError):
        await templates.save(" ")
    with pytest.raises(InvalidInputError):
        await templates.save("t", idle_ttl_s=-1)
    async with SessionManager(MemorySessionStore()) as manager:
        with pytest.raises(ConfigurationError, match="store alone"):
            await manager.templates.list()


def test_templates_without_an_event_loop(open_bridge: OpenBridge) -> None:
    with open_bridge() as bridge:
        bridge.sessions.templates.save("t", model_of("m")).result()
        assert bridge.sessions.create(template="t").result().config.model == "m"
        assert len(bridge.sessions.templates.list().result()) == 1


async def test_nobody_makes_a_session_of_where_templates_are_kept(bridge: SessionBridge) -> None:
    await bridge.sessions.templates.save("support", {"model": "m"})
    for manager in (bridge.sessions, bridge.sessions.for_user("u-1")):
        with pytest.raises(InvalidInputError, match="reserved"):
            await manager.create("mine", thread_id=THREAD)
        with pytest.raises(InvalidInputError):
            await manager.open(THREAD)
    assert [each.name for each in await bridge.sessions.templates.list()] == ["support"]
