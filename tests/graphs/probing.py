"""A handler that notes every hook with all that it is given, and where it was called."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.callbacks import GraphCallbackHandler

HOOKS = (
    "on_chain_start",
    "on_chain_end",
    "on_chain_error",
    "on_tool_start",
    "on_tool_end",
    "on_tool_error",
    "on_retriever_start",
    "on_retriever_end",
    "on_retriever_error",
    "on_chat_model_start",
    "on_llm_end",
    "on_llm_error",
    "on_custom_event",
    "on_interrupt",
    "on_resume",
)


@dataclass(frozen=True, slots=True)
class Seen:
    hook: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    thread: str
    execution: Any = None

    def __getitem__(self, name: str) -> Any:
        return self.kwargs[name]

    @property
    def metadata(self) -> dict[str, Any]:
        return self.kwargs.get("metadata") or {}


@dataclass
class Notes:
    seen: list[Seen] = field(default_factory=list)

    def of(self, *hooks: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.hook in hooks]

    def one(self, hook: str) -> Seen:
        (only,) = self.of(hook)
        return only

    def hooks(self) -> list[str]:
        return [seen.hook for seen in self.seen]


def _execution() -> Any:
    config = var_child_runnable_config.get() or {}
    runtime = config.get("configurable", {}).get("__pregel_runtime")
    return getattr(runtime, "execution_info", None)


def _noting(hook: str) -> Any:
    def note(self: Any, *args: Any, **kwargs: Any) -> None:
        seen = Seen(hook, args, kwargs, threading.current_thread().name, _execution())
        self.notes.seen.append(seen)

    return note


class Probe(GraphCallbackHandler):
    """Notes, and does nothing else."""

    def __init__(self, **flags: Any) -> None:
        self.notes = Notes()
        for name, value in flags.items():
            setattr(self, name, value)

    of = property(lambda self: self.notes.of)
    one = property(lambda self: self.notes.one)
    hooks = property(lambda self: self.notes.hooks)


for _hook in HOOKS:
    setattr(Probe, _hook, _noting(_hook))


class Silent(Probe):
    """Like a handler that switched agent events off."""

    ignore_agent = True  # type: ignore[assignment]
