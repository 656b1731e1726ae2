"""The FastAPI example: users apart, a chat that survives the service, reconnecting, errors, and the end."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from stores import emptied

from langgraph_session_bridge import SessionBridge, SessionManager
from langgraph_session_bridge.embedded import EmbeddedServers

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from fastapi.testclient import TestClient  # noqa: E402
from fastapi_app.app import create_app  # noqa: E402
from starlette.websockets import WebSocketDisconnect  # noqa: E402

Serve = Callable[[], AbstractAsyncContextManager[Any]]
OpenBridge = Callable[[], SessionBridge]


@pytest.fixture
def open_bridge(servers: EmbeddedServers) -> Iterator[OpenBridge]:
    with emptied(servers, "fastapi_example") as name:
        yield lambda: SessionBridge.from_conn_string(servers.mongodb_uri, servers.redis_url, database=name, prefix=name)


@pytest.fixture
def serve(open_bridge: OpenBridge) -> Serve:
    """A service that runs for as long as the block, and a client of it; the next one knows nothing of it."""

    @asynccontextmanager
    async def serving() -> AsyncIterator[Any]:
        app = create_app(open_bridge)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client,
        ):
            client.headers["X-User-Id"] = "ann"
            yield client

    return serving


async def said(client: Any, message: str, session_id: str | None = None) -> Any:
    answer = await client.post("/chat", json={"message": message, "session_id": session_id})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def status(client: Any, session_id: str, wanted: str) -> None:
    """Waits until a session follows its graph."""
    for _ in range(200):
        found = (await client.get(f"/sessions/{session_id}")).json()
        if found["status"] == wanted:
            return
    raise AssertionError(f"{found['status']}, not {wanted}")


async def test_a_chat_makes_its_session_and_goes_on_in_another_service(serve: Serve) -> None:
    async with serve() as client:
        first = await said(client, "hello")
        assert first["message"] == "1. You said: hello"
        shown = (await client.get(f"/sessions/{first['session_id']}")).json()
        assert shown["title"] == "New chat"
    async with serve() as client:
        assert (await said(client, "again", first["session_id"]))["message"] == "2. You said: again"
        assert (await said(client, "hi", "an id of its own"))["session_id"] == "an id of its own"


async def test_a_question_waits_for_its_answer_in_another_service(serve: Serve) -> None:
    async with serve() as client:
        asked = await said(client, "book a table")
        assert asked["question"] == {"question": "Shall I book a table?"} and asked["message"] is None
        await status(client, asked["session_id"], "interrupted")
    async with serve() as client:
        assert (await said(client, "yes", asked["session_id"]))["message"] == "Booked."


async def test_users_see_their_own_sessions_page_by_page(serve: Serve) -> None:
    async with serve() as client:
        made = [(await client.post("/sessions", json={"title": f"t{n}"})).json()["session_id"] for n in range(3)]
        other = {"X-User-Id": "bob"}
        assert (await client.get("/sessions", headers=other)).json() == {"sessions": [], "after": None}
        for path in (f"/sessions/{made[0]}", f"/sessions/{made[0]}/export"):
            if not path.endswith("export") or hasattr(SessionManager, "export"):
                assert (await client.get(path, headers=other)).status_code == 404
        taken = await client.post("/chat", json={"message": "hi", "session_id": made[0]}, headers=other)
        assert taken.status_code == 409
        page = (await client.get("/sessions", params={"limit": 2})).json()
        rest = (await client.get("/sessions", params={"after": page["after"]})).json()
        assert {session["session_id"] for session in page["sessions"] + rest["sessions"]} == set(made)
        assert (await client.get("/sessions", headers={"X-User-Id": ""})).status_code == 422


async def test_an_agent_that_fails_is_a_500_with_the_session_which_goes_on_later(serve: Serve) -> None:
    async with serve() as client:
        failed = await client.post("/chat", json={"message": "fail"})
        assert failed.status_code == 500 and failed.json()["error"] == "ValueError"
        session_id = failed.json()["session_id"]
        await status(client, session_id, "error")
        assert (await said(client, "better now", session_id))["message"].endswith("better now")
        await status(client, session_id, "active")


async def test_an_ended_session_takes_no_more(serve: Serve) -> None:
    async with serve() as client:
        session_id = (await said(client, "hello"))["session_id"]
        ended = await client.post(f"/sessions/{session_id}/end", params={"reason": "solved"})
        assert ended.json()["reason"] == "solved" and ended.json()["session"]["status"] == "ended"
        assert ended.json()["session"]["counters"]["messages"] == 2
        again = await client.post("/chat", json={"message": "one more", "session_id": session_id})
        assert again.status_code == 409 and "ended" in again.json()["detail"]


def test_a_client_that_reconnects_to_a_new_service_is_told_where_it_is(open_bridge: OpenBridge) -> None:
    with TestClient(create_app(open_bridge)) as client:
        headers = {"X-User-Id": "ann"}
        session_id = client.post("/sessions", json={}, headers=headers).json()["session_id"]
        live = f"/sessions/{session_id}/live?user_id=ann"
        with client.websocket_connect(live) as socket:
            told = socket.receive_json()
            assert (told["type"], told["messages"], told["questions"]) == ("session.resumed", [], [])
            socket.send_text("hello")
            assert socket.receive_json()["message"] == "1. You said: hello"
            socket.send_text("book a table")
            assert socket.receive_json()["question"] == {"question": "Shall I book a table?"}
    with TestClient(create_app(open_bridge)) as client:
        with client.websocket_connect(live) as socket:
            told = socket.receive_json()
            assert [said["content"] for said in told["messages"]] == ["hello", "1. You said: hello", "book a table"]
            assert told["questions"] == [{"question": "Shall I book a table?"}]
            socket.send_text("no")
            assert socket.receive_json()["message"] == "Then not."
        for path, code in ((live.replace("ann", "bob"), 4404), (live.replace(session_id, "unknown"), 4404)):
            with client.websocket_connect(path) as socket, pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_json()
            assert closed.value.code == code


@pytest.mark.skipif(not hasattr(SessionManager, "export"), reason="there is no export yet")
async def test_a_session_is_exported_as_one_page(serve: Serve) -> None:
    async with serve() as client:
        session_id = (await said(client, "hello"))["session_id"]
        page = await client.get(f"/sessions/{session_id}/export")
        assert page.headers["content-type"].startswith("text/html") and "You said: hello" in page.text
