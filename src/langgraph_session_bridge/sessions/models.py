"""Sessions as they are read: whose they are, what state they are in, what happened to them, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypedDict

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from langgraph_session_bridge.sessions.states import Event, Status

SCHEMA_VERSION = 1


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class SessionConfig(_Model):
    """How a session is to be run: for the application to read, with any fields of its own."""

    model: str | None = None
    provider: str | None = None
    max_duration_s: float | None = Field(default=None, gt=0)
    context: dict[str, Any] = Field(default_factory=dict)


Note = Literal["create", "branch", "rollback", "merge", "modes", "revive"]
"""What is in a session's history besides changes of its status; `revive`: what was to be deleted had been active."""


class Transition(_Model):
    """One change of a session's status, or something else that was done to it, which left the status as it was."""

    ts: datetime
    event: Event | Note
    from_: Status | None = Field(
        default=None, validation_alias=AliasChoices("from", "from_"), serialization_alias="from"
    )
    to: Status
    reason: str | None = None
    actor: str
    """Who did it: as told, or the process."""
    rev: int
    """Revision of the session that it led to."""
    about: dict[str, Any] | None = None
    """What else is to be known: the checkpoint that was rolled back to, for example."""


class Parent(_Model):
    """Where a session branched off."""

    session_id: str
    checkpoint_id: str | None = None


class PendingInterrupt(_Model):
    """What a session's graph waits for."""

    id: str | None = None
    value: dict[str, Any] | None = None
    """What was captured of the question, as records keep values."""
    at: datetime
    checkpoint_id: str | None = None


class LastError(_Model):
    """Why a session's last run failed."""

    type: str
    message: str = ""
    node: str | None = None
    at: datetime


class Counters(_Model):
    """How often things happened, as all processes together counted them: each once, or not at all (never twice)."""

    turns: int = 0
    """Runs that did not go on with an earlier one."""
    steps: int = 0
    """Checkpoints of the graph itself that ended a super-step."""
    runs: int = 0
    messages: int = 0
    """That came into the state of the graph itself, whoever said them; neither summaries nor what is removed count."""
    tool_calls: int = 0
    """Executions: a retry, and what ran again after an interrupt, is one more, as in the records."""
    tool_errors: int = 0
    injections: int = 0
    interrupts: int = 0
    resumes: int = 0
    errors: int = 0
    """Runs that failed."""
    condensations: int = 0
    """That were archived, by whatever condenser."""


class ModelUsage(_Model):
    """What a session used of one model."""

    provider: str = ""
    model: str = ""
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cost_microunits: int = 0
    """Millionths of the currency that the application counts in."""


class Life(_Model):
    """What of a session changes by compare-and-set; `rev` counts the changes."""

    schema_version: int = SCHEMA_VERSION
    session_id: str
    thread_id: str
    user_id: str | None = None
    title: str | None = None
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)
    app_name: str | None = None
    agent_name: str | None = None
    channel: str | None = None
    """How the user is reached: `text`, `voice`, and so on."""
    modes: list[str] = Field(default_factory=list)
    config: SessionConfig = Field(default_factory=SessionConfig)
    parent: Parent | None = None
    status: Status = "created"
    rev: int = 1
    created_at: datetime
    key: str
    """Sorts sessions by when they were made; no two share one."""
    started_at: datetime | None = None
    paused_at: datetime | None = None
    ended_at: datetime | None = None
    """When it ended or expired, if it did."""
    idle_ttl_s: float | None = None
    """Expires when nothing happened for so long."""
    hard_ttl_s: float | None = None
    """Expires so long after it was made, whatever happened."""
    pinned: bool = False
    """Never expires."""
    scheduled_for: datetime | None = None
    """When it is to go on; `due` lists those whose time has come."""
    pending_interrupts: list[PendingInterrupt] = Field(default_factory=list)
    last_error: LastError | None = None
    evaluation: dict[str, Any] = Field(default_factory=dict)
    """What the hooks said that ran when it ended, by their names."""
    transitions: list[Transition] = Field(default_factory=list)
    """The newest 200."""


class Session(Life):
    """A session: a LangGraph thread that is registered."""

    last_activity_at: datetime
    counters: Counters = Field(default_factory=Counters)
    usage: list[ModelUsage] = Field(default_factory=list)
    """Of the turns."""
    condenser_usage: list[ModelUsage] = Field(default_factory=list)
    """Of summaries, which is not in `usage`."""

    @property
    def cost_microunits(self) -> int:
        """What all of it cost, in millionths of the currency of the prices that were given."""
        return sum(used.cost_microunits for used in (*self.usage, *self.condenser_usage))

    @property
    def expires_at(self) -> datetime | None:
        """When it may be expired, unless something happens before; `None` for never."""
        return expiry(self, self.last_activity_at)

    @property
    def is_open(self) -> bool:
        """Whether it has neither ended nor expired."""
        return self.status not in ("ended", "expired")


class SessionReport(_Model):
    """What a session amounted to when it ended."""

    session: Session
    reason: str | None = None
    duration_s: float
    """From its start (or creation) to its end."""
    counters: Counters
    usage: list[ModelUsage]
    condenser_usage: list[ModelUsage] = Field(default_factory=list)
    evaluation: dict[str, Any]


class SessionPage(_Model):
    """Some sessions of a list, and where the next ones are."""

    sessions: list[Session]
    cursor: str | None = None
    """Hand it in as `after` to go on; `None` if there are no more."""


class SessionStats(_Model):
    """How many sessions there are."""

    by_status: dict[Status, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_status.values())


class Validation(_Model):
    """Whether a session is as it should be, and what was found."""

    session_id: str
    valid: bool
    status: Status | None = None
    reasons: list[str] = Field(default_factory=list)
    """What is wrong, if anything is."""
    expires_at: datetime | None = None
    checkpoint: Literal["none", "readable", "unreadable"] = "none"
    """The newest one."""
    checkpoint_id: str | None = None
    state_bytes: int = 0
    """Of the state's values, serialised."""
    blocked_types: list[str] = Field(default_factory=list)
    """Types in the state that the serde does not restore."""
    unregistered_types: list[str] = Field(default_factory=list)
    """Types in the state that it restores with a warning, until LangGraph is strict."""
    open_tool_calls: int = 0
    """Calls without an end that belong to no run of this process."""
    orphans: int = 0
    """Documents that no reader can reach: a deletion was cut off; `session-bridge sweep` removes them."""


class SessionSweep(_Model):
    """What a sweep of sessions did, by session id; after a dry run, what it would have done."""

    dry_run: bool = False
    deleted: list[str] = Field(default_factory=list)
    expired: list[str] = Field(default_factory=list)
    """Marked as expired, with all their data in place."""
    kept: dict[str, str] = Field(default_factory=dict)
    """Whose lifetime seemed to be over and was not, with the reason."""
    failed: dict[str, str] = Field(default_factory=dict)
    """What could not be deleted, with the reason; the next sweep tries again."""
    finished: int = 0
    """Deletions that were cut off before and are complete now."""
    more: bool = False
    """Whether it stopped at its limit."""


class ErasureReport(_Model):
    """What was erased; after a dry run, what would be."""

    sessions: list[str] = Field(default_factory=list)
    counts: dict[str, int] = Field(default_factory=dict)
    """How much of each kind there was, in both servers."""
    remaining: dict[str, int] = Field(default_factory=dict)
    """What a search past all caches found afterwards: nothing, unless somebody wrote meanwhile. Erase again."""
    failed: dict[str, str] = Field(default_factory=dict)
    """Sessions that could not be erased, with the reason. Erase again."""
    dry_run: bool = False

    @property
    def complete(self) -> bool:
        """Whether nothing is left."""
        return not (self.dry_run or self.remaining or self.failed)


class AnonymisationReport(_Model):
    """What was made nobody's."""

    sessions: list[str] = Field(default_factory=list)
    records: int = 0
    """Records that said whose they are."""
    checkpoints: int = 0
    """Checkpoints whose metadata did."""
    user_id: str | None = None
    """Who is in the place of the user now."""


class Fields(TypedDict, total=False):
    """What an application may say of a session."""

    user_id: str | None
    title: str | None
    tags: list[str]
    metadata: Mapping[str, Any]
    app_name: str | None
    agent_name: str | None
    channel: str | None
    modes: list[str]
    config: SessionConfig | Mapping[str, Any]
    idle_ttl_s: float | timedelta | None
    hard_ttl_s: float | timedelta | None
    pinned: bool
    scheduled_for: datetime | None


class Lasting(Protocol):
    """What decides on how long a session is kept."""

    @property
    def thread_id(self) -> str: ...  # noqa: D102
    @property
    def created_at(self) -> datetime: ...  # noqa: D102
    @property
    def idle_ttl_s(self) -> float | None: ...  # noqa: D102
    @property
    def hard_ttl_s(self) -> float | None: ...  # noqa: D102
    @property
    def pinned(self) -> bool: ...  # noqa: D102


def expiry(life: Lasting, active_at: datetime) -> datetime | None:
    """When a session may be expired that was last active then."""
    if life.pinned:
        return None
    bounds = []
    if life.idle_ttl_s is not None:
        bounds.append(active_at + timedelta(seconds=life.idle_ttl_s))
    if life.hard_ttl_s is not None:
        bounds.append(life.created_at + timedelta(seconds=life.hard_ttl_s))
    return min(bounds, default=None)
