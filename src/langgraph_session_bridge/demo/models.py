"""The assistant's chat model: a scripted one that needs no key and no network, or any that LangChain knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from langgraph_session_bridge.demo.plan import next_message
from langgraph_session_bridge.errors import ConfigurationError

SCRIPTED = "scripted"


class ScriptedModel(BaseChatModel):
    """Answers by rules from the conversation so far, so that the same conversation gets the same answer."""

    @property
    def _llm_type(self) -> str:
        return SCRIPTED

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=next_message(messages))])  # type: ignore[arg-type]

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        """The script knows the tools already."""
        return self


def open_model(name: str, tools: Sequence[BaseTool]) -> Runnable[LanguageModelInput, AIMessage]:
    """A model that can call the tools.

    Args:
        name: `scripted`, or `provider:model` as for `langchain.chat_models.init_chat_model`.
        tools: What it may call.

    Raises:
        ConfigurationError: LangChain, the provider's package or its key is missing, or the name is unknown.
    """
    if name == SCRIPTED:
        return ScriptedModel().bind_tools(tools)
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        message = f'--model {name} needs LangChain: pip install "langgraph-session-bridge[agents]".'
        raise ConfigurationError(message) from error
    try:
        model: BaseChatModel = init_chat_model(name)
        return model.bind_tools(tools)
    except Exception as error:  # each provider has errors of its own for a missing key or a wrong name
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        message = f"--model {name} cannot be used: {reason}"
        raise ConfigurationError(message) from error
