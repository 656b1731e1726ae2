"""A chat service on FastAPI: sessions by user, a chat endpoint, reconnecting over a WebSocket, and exports.

    export LSB_MONGODB_URI=mongodb://localhost:27017 LSB_REDIS_URL=redis://localhost:6379/0
    uvicorn --app-dir examples --factory fastapi_app.app:create_app

Without `LSB_MONGODB_URI` it starts servers of its own (extra `embedded`). The header `X-User-Id` stands in for your
authentication: nothing of another user's can be reached through `sessions.for_user`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.types import Command
from pydantic import BaseModel

from fastapi_app import assistant
from langgraph_session_bridge import (
    InvalidInputError,
    Session,
    SessionBridge,
    SessionBridgeError,
    SessionConflictError,
    SessionEndedError,
    SessionManager,
    SessionNotFoundError,
    UnavailableError,
)
from langgraph_session_bridge.errors import NotResumableError
from langgraph_session_bridge.sessions.lifecycle.resuming import Resumption

STATUS: dict[type[SessionBridgeError], int] = {
    SessionNotFoundError: 404,
    SessionConflictError: 409,
    SessionEndedError: 409,
    NotResumableError: 409,
    InvalidInputError: 422,
    UnavailableError: 503,
}
MEDIA = {"html": "text/html", "markdown": "text/markdown", "jsonl": "application/jsonl", "csv": "text/csv"}


class NewSession(BaseModel):
    title: str | None = None
    tags: list[str] = []


class Said(BaseModel):
    message: str
    session_id: str | None = None


class Reply(BaseModel):
    session_id: str
    message: str | None = None
    question: Any = None
    """What the assistant wants to know before it goes on; the next message answers it."""


class Chat:
    """The bridge, and the graph on it."""

    def __init__(self, bridge: SessionBridge) -> None:
        self.bridge, self.graph = bridge, assistant.build(bridge.saver)

    async def say(self, sessions: SessionManager, session: Session, message: str) -> Reply:
        """Runs the graph with a message, or with the answer to what it waits for."""
        waiting = (await sessions.resume(session, force=True)).pending_interrupts
        given: Any = Command(resume=message) if waiting else {"messages": [HumanMessage(message)]}
        result = await self.graph.ainvoke(given, self.bridge.config(session))
        asked = result.get("__interrupt__")
        if asked:
            return Reply(session_id=session.session_id, question=asked[0].value)
        return Reply(session_id=session.session_id, message=result["messages"][-1].content)


def plain(session: Session) -> dict[str, Any]:
    """What clients are told of a session."""
    return session.model_dump(mode="json", include={"session_id", "title", "status", "tags", "created_at", "counters"})


def resumed(found: Resumption) -> dict[str, Any]:
    """What a client needs to show a conversation that it had lost."""
    messages: list[AnyMessage] = found.state.get("messages", [])
    return {
        "type": "session.resumed",
        "session": plain(found.session),
        "messages": [{"role": message.type, "content": message.content} for message in messages],
        "questions": jsonable_encoder([waiting.value for waiting in found.pending_interrupts]),
        "unknown_tool_calls": [call.tool_name for call in found.unknown_tool_calls],
    }


def open_bridge() -> SessionBridge:
    """To the servers that the environment names, or to embedded ones."""
    return SessionBridge.from_env() if os.environ.get("LSB_MONGODB_URI") else SessionBridge.embedded()


def chat_of(request: Request) -> Chat:
    """What the lifespan opened."""
    found: Chat = request.app.state.chat
    return found


TheChat = Annotated[Chat, Depends(chat_of)]


def own_sessions(chat: TheChat, x_user_id: Annotated[str, Header()]) -> SessionManager:
    """The sessions of whoever asks."""
    return chat.bridge.sessions.for_user(x_user_id)


Own = Annotated[SessionManager, Depends(own_sessions)]


def create_app(opened: Callable[[], SessionBridge] = open_bridge) -> FastAPI:
    """The service; `opened` makes the bridge when it starts, and the service closes it when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened() as bridge:
            app.state.chat = Chat(bridge)
            yield

    app = FastAPI(title="Chat that survives", lifespan=lifespan)
    app.add_exception_handler(SessionBridgeError, refused)

    @app.post("/sessions", status_code=201)
    async def create(sessions: Own, new: NewSession) -> dict[str, Any]:
        return plain(await sessions.create(title=new.title or "New chat", tags=new.tags))

    @app.get("/sessions")
    async def listed(
        sessions: Own, after: str | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> dict[str, Any]:
        page = await sessions.list(after=after, limit=limit)
        return {"sessions": [plain(session) for session in page.sessions], "after": page.cursor}

    @app.get("/sessions/{session_id}")
    async def shown(sessions: Own, session_id: str) -> dict[str, Any]:
        return plain(await sessions.get(session_id))

    @app.post("/chat", response_model=Reply)
    async def chat(sessions: Own, chat: TheChat, said: Said) -> Reply | JSONResponse:
        session = await sessions.open(said.session_id, title="New chat")
        try:
            return await chat.say(sessions, session, said.message)
        except SessionBridgeError:
            raise
        except Exception as error:  # the agent is whatever you put there; its session says `error` by itself
            content = {"session_id": session.session_id, "error": type(error).__name__}
            return JSONResponse(status_code=500, content=content)

    @app.post("/sessions/{session_id}/end")
    async def end(sessions: Own, session_id: str, reason: str | None = None) -> dict[str, Any]:
        report = await sessions.end(session_id, reason=reason)
        return {"session": plain(report.session), "duration_s": report.duration_s, "reason": report.reason}

    @app.get("/sessions/{session_id}/export")
    async def export(sessions: Own, session_id: str, format: str = "html") -> Response:
        data = await sessions.export(session_id, format=format)
        return Response(data, media_type=MEDIA.get(format, "application/json"))

    @app.websocket("/sessions/{session_id}/live")
    async def live(socket: WebSocket, session_id: str, user_id: str) -> None:
        """Tells a client that comes back where its conversation is, and goes on with it."""
        chat: Chat = socket.app.state.chat
        sessions = chat.bridge.sessions.for_user(user_id)
        await socket.accept()
        try:
            found = await sessions.resume(session_id, force=True)
            await socket.send_json(resumed(found))
            while True:
                reply = await chat.say(sessions, found.session, await socket.receive_text())
                await socket.send_json({"type": "reply", **reply.model_dump()})
        except SessionBridgeError as error:
            await socket.close(4000 + code_of(error), str(error)[:120])
        except WebSocketDisconnect:
            return

    return app


def code_of(error: SessionBridgeError) -> int:
    """What HTTP calls it."""
    return next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)


async def refused(_: Request, error: Exception) -> JSONResponse:
    """An error of the library, in HTTP's words."""
    assert isinstance(error, SessionBridgeError)
    return JSONResponse(status_code=code_of(error), content={"error": type(error).__name__, "detail": str(error)})
