"""Models that say what a test tells them to, and an archive in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

from langgraph_session_bridge.condense.archive import ArchivedMessage, Condensation
from langgraph_session_bridge.errors import UnavailableError

Reply = str | AIMessage | Exception


class ScriptedModel(BaseChatModel):
    """Says one reply after the other, the last one for ever; streams word by word."""

    replies: list[Any]
    profile: Any = None
    _calls: list[list[BaseMessage]] = PrivateAttr(default_factory=list)

    @property
    def calls(self) -> list[list[BaseMessage]]:
        """What it was asked."""
        return self._calls

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        self._calls.append(messages)
        reply = self.replies[min(len(self._calls), len(self.replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        return AIMessage(reply) if isinstance(reply, str) else reply

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages).model_copy())])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        reply = self._next(messages)
        if reply.tool_calls:
            yield ChatGenerationChunk(message=AIMessageChunk(**reply.model_dump(exclude={"type"})))
            return
        for word in reply.text.split(" "):
            chunk = ChatGenerationChunk(message=AIMessageChunk(f"{word} "))
            if run_manager:
                run_manager.on_llm_new_token(f"{word} ", chunk=chunk)
            yield chunk


class MemoryArchive:
    """Keeps removed messages in memory."""

    def __init__(self) -> None:
        self.messages: dict[tuple[str, str, str], BaseMessage] = {}
        self.condensations: dict[tuple[str, str], Condensation] = {}
        self.calls: list[str] = []
        self.down = False
        self.on_keep: Callable[[], None] = lambda: None

    def keep_blocking(self, thread_id: str, messages: Sequence[ArchivedMessage], condensation: Condensation) -> None:
        self.calls.append("blocking")
        self._keep(thread_id, messages, condensation)

    async def keep(self, thread_id: str, messages: Sequence[ArchivedMessage], condensation: Condensation) -> None:
        self.calls.append("async")
        self._keep(thread_id, messages, condensation)

    def _keep(self, thread_id: str, messages: Sequence[ArchivedMessage], condensation: Condensation) -> None:
        if self.down:
            raise UnavailableError("the archive is down")
        for item in messages:
            self.messages[thread_id, item.id, item.digest] = item.message
        self.condensations[thread_id, condensation.id] = condensation
        self.on_keep()

    def of(self, thread_id: str) -> list[Condensation]:
        """The condensations of a thread."""
        return [c for (thread, _), c in self.condensations.items() if thread == thread_id]

    def finder(self, thread_id: str) -> Callable[[str, str], BaseMessage | None]:
        """Looks up a message of a thread."""
        return lambda id, digest: self.messages.get((thread_id, id, digest))
