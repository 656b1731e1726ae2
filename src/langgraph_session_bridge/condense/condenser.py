"""The condenser: a node that archives and then trims a long history, or shows the model less of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, RemoveMessage, convert_to_messages
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config

from langgraph_session_bridge.condense.archive import MessageArchive, archived, condensation_of
from langgraph_session_bridge.condense.marks import Pinned
from langgraph_session_bridge.condense.plan import CondensationPlan
from langgraph_session_bridge.condense.planner import Planner
from langgraph_session_bridge.condense.rules import RULES, PinnedStay, Rule
from langgraph_session_bridge.condense.strategies import RecentMessages, Strategy
from langgraph_session_bridge.condense.streaming import hide
from langgraph_session_bridge.condense.summaries import Written
from langgraph_session_bridge.condense.tokens import Tokens, token_sizes
from langgraph_session_bridge.condense.triggers import Size, Trigger, goal_of
from langgraph_session_bridge.condense.view import Recent, Record, recorded, resumed
from langgraph_session_bridge.errors import ConfigurationError, InvalidTypeError, SessionBridgeError

Mode = Literal["compact", "view"]
_log = logging.getLogger(__name__)
_NOT_ARCHIVED = "Nothing was trimmed, as it could not be archived: %s"


class _Undecided:
    """No archive, and nobody said that none is wanted."""


_UNDECIDED = _Undecided()


_Thread = tuple[str, str]


class Condenser(Runnable[Any, "dict[str, Any] | None"]):
    """Trims long histories by rules that can be checked, and archives what it removes before it removes it.

    Args:
        strategy: What is done: `RecentMessages()`, `Summarizing(model)`, `Pipeline(...)`.
        trigger: When: `("messages", 100)`, `("tokens", n)`, `("fraction", 0.8)`, `("bytes", n)`, `("turns", n)`; a
            dictionary of those means all, a list means any. Twice what is kept, unless given.
        keep: How much stays, in the same units; 50 messages, or half of the trigger, unless given.
        mode: `compact` trims what is saved, `view` only what the model sees.
        archive: Where removed messages go. `None`, said aloud, means that they may be lost.
        messages_key: Key of the state that holds the messages.
        output_key: Key that the view is written to.
        record_key: Key of the state that remembers the view (a plain dictionary); otherwise this process does.
        tokens: How tokens are counted.
        model: The model that will read the messages; its profile tells what a `fraction` is of.
        max_input_tokens: The same, as a number.
        rules: What must stay.
        pinned: Tells which messages are pinned, instead of `pin`'s mark.
        min_progress: Nothing is done for less than this share of the messages or their tokens.

    Example:
        ```python
        builder.add_node("condense", Condenser(Summarizing(model), trigger=("tokens", 8000), archive=archive))
        builder.add_edge(START, "condense")
        builder.add_edge("condense", "agent")
        ```
    """

    def __init__(
        self,
        strategy: Strategy | None = None,
        *,
        trigger: Trigger | None = None,
        keep: Size | None = None,
        mode: Mode = "compact",
        archive: MessageArchive | _Undecided | None = _UNDECIDED,
        messages_key: str = "messages",
        output_key: str = "llm_input_messages",
        record_key: str | None = None,
        tokens: Tokens = "approximate",
        model: BaseChatModel | None = None,
        max_input_tokens: int | None = None,
        rules: Sequence[Rule] = RULES,
        pinned: Pinned | None = None,
        min_progress: float = 0.1,
    ) -> None:
        if mode not in ("compact", "view"):
            raise ConfigurationError(f"mode={mode!r}; use 'compact' (trims the state) or 'view' (what the model sees).")
        if mode == "compact" and isinstance(archive, _Undecided):
            message = (
                "Messages that leave the state would be lost: pass an archive, or archive=None if that is what you "
                "want, or mode='view', which leaves the state as it is."
            )
            raise ConfigurationError(message)
        if not 0 <= min_progress < 1:
            raise ConfigurationError(f"min_progress={min_progress} is not a share of at least 0 and less than 1.")
        strategy = strategy or RecentMessages()
        self.mode, self.messages_key, self.output_key, self.record_key = mode, messages_key, output_key, record_key
        self.archive = None if isinstance(archive, _Undecided) else archive
        if pinned is not None:
            rules = [PinnedStay(pinned) if isinstance(rule, PinnedStay) else rule for rule in rules]
        self.rules = tuple(rules)
        window = max_input_tokens or _window(model) or _window(tokens)
        self._planner = Planner(
            strategy=strategy,
            goal=goal_of(trigger, keep or strategy.keep, window),
            rules=self.rules,
            tokens=token_sizes(tokens),
            min_progress=min_progress,
        )
        self._views: Recent[Record] = Recent()
        self._refused: Recent[int] = Recent()

    # Deciding

    def plan(self, messages: Sequence[BaseMessage]) -> CondensationPlan:
        """What would be done about these messages; calls no model, stores nothing, changes nothing."""
        return self._planner.plan(messages)

    def plan_without_model(self, messages: Sequence[BaseMessage]) -> CondensationPlan:
        """The same without summaries; for callers that may not wait for a model."""
        return self._planner.plan(messages, summaries=False)

    def condense(self, messages: Sequence[BaseMessage], config: RunnableConfig | None = None) -> CondensationPlan:
        """The plan with its summary written; nothing is archived or trimmed yet."""
        plan, thread = self.plan(messages), _address(config)
        if plan.wanted is None:
            return plan
        if self._is_too_soon(thread, plan):
            return self._without_summary(plan, Written(refused="the last summary was refused"), thread=None)
        wanted = plan.wanted
        written = wanted.strategy.write(plan.given(), wanted.max_tokens, config, plan.id)
        return plan.with_summary(written) or self._without_summary(plan, written, thread)

    async def acondense(
        self, messages: Sequence[BaseMessage], config: RunnableConfig | None = None
    ) -> CondensationPlan:
        """`condense` on an event loop."""
        plan, thread = self.plan(messages), _address(config)
        if plan.wanted is None:
            return plan
        if self._is_too_soon(thread, plan):
            return self._without_summary(plan, Written(refused="the last summary was refused"), thread=None)
        wanted = plan.wanted
        written = await wanted.strategy.awrite(plan.given(), wanted.max_tokens, config, plan.id)
        return plan.with_summary(written) or self._without_summary(plan, written, thread)

    def _without_summary(self, plan: CondensationPlan, written: Written, thread: _Thread | None) -> CondensationPlan:
        """What is left of a plan whose summary may not be used: what other strategies do."""
        why = plan.refusal(written)
        if thread is not None:
            _log.warning("Nothing was summarised: %s.", why)
            self._refused.put(thread, plan.tokens_before)
        rest = self._planner.plan(plan.before, summaries=False)
        return replace(rest, notes=(*rest.notes, why), usage=written.usage, model=written.model)

    def _is_too_soon(self, thread: _Thread, plan: CondensationPlan) -> bool:
        """Whether a refused summary would only be tried again; a tenth more history is something else."""
        last = self._refused.get(thread) if thread[0] else None
        return last is not None and last <= plan.tokens_before < last * (1 + self._planner.min_progress)

    # As a node

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any] | None:
        """The update of the state: archives, then trims; or writes the view."""
        messages = self._messages(input)
        if self.mode == "view":
            return self._shown(*self.look(messages, self._record(input, config), config), config)
        if self._unready(messages) or not (plan := self.condense(messages, config)):
            return None
        if self.archive is not None:
            kept = self._kept(plan, config)
            try:
                self.archive.keep_blocking(*kept)
            except SessionBridgeError as error:
                _log.warning(_NOT_ARCHIVED, error)
                return None
        return self._update(plan, config)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any] | None:
        """`invoke` on an event loop."""
        messages = self._messages(input)
        if self.mode == "view":
            return self._shown(*await self.alook(messages, self._record(input, config), config), config)
        if self._unready(messages) or not (plan := await self.acondense(messages, config)):
            return None
        if self.archive is not None:
            kept = self._kept(plan, config)
            try:
                await self.archive.keep(*kept)
            except SessionBridgeError as error:
                _log.warning(_NOT_ARCHIVED, error)
                return None
        return self._update(plan, config)

    # As a view

    def view(self, state: Any, config: RunnableConfig | None = None) -> list[BaseMessage]:
        """What to show the model, for nodes that call it themselves; nothing is trimmed."""
        view, record = self.look(self._messages(state), self._record(state, config), config)
        self._remember(record, config)
        return view

    async def aview(self, state: Any, config: RunnableConfig | None = None) -> list[BaseMessage]:
        """`view` on an event loop."""
        view, record = await self.alook(self._messages(state), self._record(state, config), config)
        self._remember(record, config)
        return view

    def look(
        self, messages: Sequence[BaseMessage], record: Record | None, config: RunnableConfig | None = None
    ) -> tuple[list[BaseMessage], dict[str, Any] | None]:
        """What to show the model, given what was remembered of the last time; and what to remember, if that changed."""
        plan = self.condense(resumed(messages, record), config)
        return plan.after, recorded(messages, plan.after) if plan and not self._unready(messages) else None

    async def alook(
        self, messages: Sequence[BaseMessage], record: Record | None, config: RunnableConfig | None = None
    ) -> tuple[list[BaseMessage], dict[str, Any] | None]:
        """`look` on an event loop."""
        plan = await self.acondense(resumed(messages, record), config)
        return plan.after, recorded(messages, plan.after) if plan and not self._unready(messages) else None

    def _record(self, state: Any, config: RunnableConfig | None) -> Record | None:
        if self.record_key is None:
            return self._views.get(_address(config))
        return state.get(self.record_key) if isinstance(state, Mapping) else getattr(state, self.record_key, None)

    def _remember(self, record: dict[str, Any] | None, config: RunnableConfig | None) -> None:
        thread = _address(config)
        if record is not None and self.record_key is None and thread[0]:
            self._views.put(thread, record)

    def _shown(
        self, view: list[BaseMessage], record: dict[str, Any] | None, config: RunnableConfig | None
    ) -> dict[str, Any]:
        self._remember(record, config)
        hide(config, view)
        shown: dict[str, Any] = {self.output_key: view}
        return shown if record is None or self.record_key is None else {**shown, self.record_key: record}

    # Parts of it

    def _messages(self, state: Any) -> list[BaseMessage]:
        if isinstance(state, Mapping):
            found = state.get(self.messages_key)
        elif isinstance(state, list):
            found = state
        else:
            found = getattr(state, self.messages_key, None)
        if found is None:
            raise InvalidTypeError(f"The state has no {self.messages_key!r}; `messages_key` names what holds messages.")
        if all(isinstance(message, BaseMessage) for message in found):
            return list(found)
        return convert_to_messages(found)

    def _unready(self, messages: Sequence[BaseMessage]) -> bool:
        """Whether messages can't be told apart."""
        if any(isinstance(message, RemoveMessage) for message in messages):
            text = f"{self.messages_key!r} holds a `RemoveMessage`: its reducer must be one like `add_messages`."
            raise ConfigurationError(text)
        ids = {message.id for message in messages}
        if len(ids) == len(messages) and None not in ids and "" not in ids:
            return False
        _log.warning("Nothing was condensed: messages in %r without an id of their own.", self.messages_key)
        return True

    def _kept(self, plan: CondensationPlan, config: RunnableConfig | None) -> tuple[str, Any, Any]:
        thread_id, ns = _address(config)
        if not thread_id:
            raise ConfigurationError("The archive needs a thread: call the graph with `configurable: {thread_id: …}`.")
        items = archived(plan)
        record = condensation_of(
            plan,
            items,
            thread_id=thread_id,
            checkpoint_ns=ns,
            key=self.messages_key,
            checkpoint_id=_checkpoint_id(config, ns),
        )
        return thread_id, items, record

    def _update(self, plan: CondensationPlan, config: RunnableConfig | None) -> dict[str, Any]:
        update = plan.update(self.messages_key)
        hide(config, update[self.messages_key])
        return update


def _address(config: RunnableConfig | None) -> _Thread:
    """Thread and namespace; a node's own namespace carries the id of its task, which is left out."""
    values = (ensure_config() if config is None else config).get("configurable") or {}
    ns = str(values.get("checkpoint_ns") or "")
    return str(values.get("thread_id") or ""), ns.rpartition("|")[0]


def _checkpoint_id(config: RunnableConfig | None, ns: str) -> str:
    """The checkpoint that a node runs on; empty outside of a graph."""
    values = (ensure_config() if config is None else config).get("configurable") or {}
    return str((values.get("checkpoint_map") or {}).get(ns, ""))


def _window(model: Any) -> int | None:
    profile = getattr(model, "profile", None)
    window = profile.get("max_input_tokens") if isinstance(profile, Mapping) else None
    return window if isinstance(window, int) else None
