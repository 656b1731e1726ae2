"""What a condenser would do, and why: nothing is changed until someone applies it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import BaseMessage, RemoveMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from langgraph_session_bridge.condense.draft import Draft
from langgraph_session_bridge.condense.marks import key_of
from langgraph_session_bridge.condense.plan_display import Row, as_html, as_rich, as_text
from langgraph_session_bridge.condense.summaries import Written, covered_by, expected_tokens, summary_message, too_long
from langgraph_session_bridge.condense.summarizing import SummaryRequest
from langgraph_session_bridge.errors import InvalidInputError

_ID_BYTES = 12
_REMOVE = RemoveMessage(id="")


@dataclass(frozen=True, slots=True, kw_only=True)
class CondensationPlan:
    """A condensation that could be done; false if there is nothing to do.

    Attributes:
        id: Digest of what is removed and replaced, and of the list that it stood in: a second try has the same.
        before: The messages as they are.
        after: The messages as they will be; without the summary as long as one is `wanted`.
        removed: Messages that go.
        replaced: Messages that change under their id, each with what stands there instead.
        inserted: Messages that come: the summary.
        trigger: What was reached, in words.
        strategy: Who decided.
        tokens_before: Tokens of `before`.
        tokens_after: Tokens of `after`; an estimate as long as a summary is `wanted`.
        notes: What was not done, and why.
        wanted: The summary that is still to be written.
        usage: What writing the summary took, as the model reports it.
        model: Which model says it wrote the summary.
    """

    id: str = ""
    before: list[BaseMessage] = field(repr=False)
    after: list[BaseMessage] = field(repr=False)
    removed: list[BaseMessage] = field(default_factory=list, repr=False)
    replaced: list[tuple[BaseMessage, BaseMessage]] = field(default_factory=list, repr=False)
    inserted: list[BaseMessage] = field(default_factory=list, repr=False)
    trigger: str = ""
    strategy: str = ""
    tokens_before: int = 0
    tokens_after: int = 0
    notes: tuple[str, ...] = ()
    wanted: SummaryRequest | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    _draft: Draft | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        return bool(self.removed or self.replaced)

    @property
    def reasons(self) -> dict[str | int, str]:
        """Why each message goes or changes, by id."""
        draft = self._draft
        return {} if draft is None else {key_of(self.before[i]): why for i, why in sorted(draft.reasons.items())}

    def update(self, key: str = "messages") -> dict[str, Any]:
        """The graph update that does it, for `add_messages` and for LangGraph's reducer for `DeltaChannel` alike.

        Without a summary only what goes and what changes is in it. A new message lands at the end with either reducer,
        so with a summary the list is taken apart and written again in order; use it in a step of its own.

        Raises:
            InvalidInputError: Messages have no ids, so a reducer could not tell them apart.
        """
        if not self:
            return {}
        if not all(message.id for message in self.before):
            raise InvalidInputError("Messages without ids can't be removed by id; `plan.after` is the list itself.")
        if not self.inserted:
            new = [message for _, message in self.replaced]
            return {key: [*(_remove(message) for message in self.removed), *new]}
        # `add_messages` starts over after the mark. The delta reducer ignores the mark; it appends what was removed.
        staying = self.after[: self._place()]
        heads = next(
            (i for i, (a, b) in enumerate(zip(self.before, staying, strict=False)) if a.id != b.id), len(staying)
        )
        removes = [_remove(message) for message in self.before[heads:]]
        return {key: [*removes, RemoveMessage(REMOVE_ALL_MESSAGES), *self.after]}

    def given(self) -> list[BaseMessage]:
        """What a summary is to be written from: earlier summaries that stay, then what it replaces."""
        if self.wanted is None:
            return []
        return [self.before[index] for index in (*self.wanted.context, *self.wanted.indexes)]

    def with_summary(self, written: Written) -> CondensationPlan | None:
        """The finished plan, or nothing if the summary may not be used; `refusal` then tells why."""
        draft, wanted = self._draft, self.wanted
        if draft is None or wanted is None or written.refused:
            return None
        message, tokens, why = self._weighed(draft, wanted, written.text)
        if why:
            return None
        ahead = sum(not gone for gone in draft.gone[: wanted.position])
        return replace(
            self,
            after=[*self.after[:ahead], message, *self.after[ahead:]],
            inserted=[message],
            tokens_after=draft.total("tokens") - draft.room["tokens"] + tokens,
            wanted=None,
            usage=written.usage,
            model=written.model,
        )

    def refusal(self, written: Written) -> str:
        """Why a summary may not be used."""
        draft, wanted = self._draft, self.wanted
        if written.refused or draft is None or wanted is None:
            return written.refused
        return self._weighed(draft, wanted, written.text)[2]

    def _weighed(self, draft: Draft, wanted: SummaryRequest, text: str) -> tuple[BaseMessage, int, str]:
        """A summary as a message, its tokens, and why it may not be used."""
        folded = [self.before[index] for index in wanted.indexes if index in draft.chat.summaries]
        message = summary_message(text, self.id, covered_by(folded), len(wanted.indexes))
        tokens = draft.tokens([message])[0]
        sizes = draft.sizes("tokens")
        return message, tokens, too_long(tokens, sum([sizes[index] for index in wanted.indexes]), wanted.max_tokens)

    def _place(self) -> int:
        """Where the inserted message is in `after`; comparing messages would take longer."""
        return next(place for place, message in enumerate(self.after) if message is self.inserted[0])

    # Looking at it

    def rows(self) -> list[Row]:
        """One row for each message before, and for each that comes."""
        draft = self._draft
        tokens = [0] * len(self.before) if draft is None else draft.tokens(self.before)
        rows = []
        pins = {} if draft is None else draft.pins()[0]
        for index, message in enumerate(self.before):
            fate, reason = "keep", "" if draft is None else pins.get(draft.chat.unit_of[index], "")
            if draft is not None and draft.gone[index]:
                fate, reason = "remove", draft.reasons[index]
            elif draft is not None and index in draft.swaps:
                fate, reason = "shorten", draft.reasons[index]
            rows.append(Row.of(message, fate, tokens[index], reason))
        new = [Row.of(m, "insert", draft.tokens([m])[0] if draft else 0, self.strategy) for m in self.inserted]
        if self.wanted is not None:
            new = [Row("insert", "human", "", self.wanted.max_tokens, "a summary, to be written", "")]
        at = self.wanted.position if self.wanted else _first_new(self)
        return [*rows[:at], *new, *rows[at:]]

    def headline(self) -> str:
        """The plan in one line."""
        if not self:
            return "Nothing to condense" + (f": {'; '.join(self.notes)}" if self.notes else "")
        tokens = f"{self.tokens_before:,} → {'about ' if self.wanted else ''}{self.tokens_after:,} tokens"
        counts = f"{len(self.removed)} messages go, {len(self.replaced)} are shortened"
        return f"{self.strategy} at {self.trigger}: {counts}, {tokens}" + "".join(f" ({note})" for note in self.notes)

    def __str__(self) -> str:
        return as_text(self.headline(), self.rows() if self else [])

    def __rich__(self) -> Any:
        return as_rich(self.headline(), self.rows() if self else [])

    def _repr_html_(self) -> str:
        return as_html(self.headline(), self.rows() if self else [])


def nothing(messages: Sequence[BaseMessage], *notes: str) -> CondensationPlan:
    """A plan that leaves everything as it is."""
    return CondensationPlan(before=list(messages), after=list(messages), notes=notes)


def plan_of(draft: Draft, trigger: str, strategy: str, tokens_before: int) -> CondensationPlan:
    """The plan that a draft amounts to."""
    before = draft.chat.messages
    removed = [message for message, gone in zip(before, draft.gone, strict=True) if gone]
    replaced = [(before[i], new) for i, new in sorted(draft.swaps.items()) if not draft.gone[i]]
    if not removed and not replaced:
        return nothing(before, *draft.notes)
    tokens_after = draft.total("tokens")
    if draft.request is not None:
        sizes = draft.sizes("tokens")
        expected = expected_tokens(draft.request.max_tokens, sum(sizes[i] for i in draft.request.indexes))
        tokens_after += expected - draft.room["tokens"]
    return CondensationPlan(
        id=condensation_id(before, removed, replaced),
        before=list(before),
        after=draft.messages(),
        removed=removed,
        replaced=replaced,
        trigger=trigger,
        strategy=strategy,
        tokens_before=tokens_before,
        tokens_after=tokens_after,
        notes=tuple(draft.notes),
        wanted=draft.request,
        _draft=draft,
    )


def condensation_id(
    before: Sequence[BaseMessage], removed: Sequence[BaseMessage], replaced: Sequence[tuple[BaseMessage, BaseMessage]]
) -> str:
    """Digest of what goes and changes and of the ids around it; the same after a crash, another one in a fork."""
    parts = [str(message.id) for message in before]
    for message in removed:
        parts += ("\1", str(message.id), message.type, str(message.content))
    for old, new in replaced:
        parts += ("\2", str(old.id), str(old.content), str(new.content))
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=_ID_BYTES).hexdigest()


def _remove(message: BaseMessage) -> RemoveMessage:
    """A copy of a `RemoveMessage` with another id: half the time of making one, and there are many."""
    remove = copy(_REMOVE)
    vars(remove).update(id=message.id, additional_kwargs={}, response_metadata={})
    return remove


def _first_new(plan: CondensationPlan) -> int:
    """Before which row of `before` the inserted message is shown: after the one that it comes after."""
    if not plan.inserted:
        return len(plan.before)
    at = plan._place()
    keys = [key_of(message) for message in plan.before]
    return keys.index(key_of(plan.after[at - 1])) + 1 if at else 0
