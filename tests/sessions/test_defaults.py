"""What is as by default is not stored; sessions that were stored with all of it are read and changed the same."""

from __future__ import annotations

from dataclasses import replace

from langgraph_session_bridge import SessionManager
from langgraph_session_bridge.records.audio.counting import CLOCK
from langgraph_session_bridge.sessions.models import Life
from langgraph_session_bridge.sessions.stores.keeping import LIFE, life_facet, position, time_of, touch_facet


async def test_documents_of_both_kinds_are_the_same_sessions(sessions: SessionManager) -> None:
    store = sessions._context.registry.store
    for name in ("brief", "whole"):
        now = CLOCK()
        life = Life(session_id=name, thread_id=name, user_id="u", created_at=time_of(now), key=position(now, name))
        facet = life_facet(life)
        if name == "whole":
            facet = replace(facet, value=life.model_dump(by_alias=True))
        assert await store.swap(name, facet, 0, [touch_facet(life)])
    brief, whole = [await store.read(name) for name in ("brief", "whole")]
    assert brief is not None and whole is not None and len(brief[LIFE]) < 10 < len(whole[LIFE])
    for user_id in ("u", None):
        assert await sessions.ids(user_id=user_id, status="created") == ["brief", "whole"]
    own = {"session_id", "thread_id", "created_at", "key", "last_activity_at"}
    one, other = [(await sessions.get(name)).model_dump(exclude=own) for name in ("brief", "whole")]
    assert one == other
    for name in ("brief", "whole"):
        await sessions.start(name)
        changed = await sessions.update(name, title="a", tags=["t"], metadata={"n": 1}, pinned=True)
        assert (changed.title, changed.pinned, changed.rev) == ("a", True, 3)
        back = await sessions.update(name, title=None, tags=[], metadata={"n": None}, pinned=False)
        assert await sessions.get(name) == back and (back.title, back.tags, back.pinned) == (None, [], False)
    assert await sessions.ids(tags="t") == [] and await sessions.ids(status="active") == ["brief", "whole"]
