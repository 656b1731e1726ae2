"""What others do before a checkpoint is stored, and before a thread is deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata

Prepare = Callable[[], Awaitable[bool]]
"""What must be done before the changed checkpoint may be stored; false if it may not, and the unchanged one is."""

BeforePut = Callable[[str, str, Checkpoint, CheckpointMetadata, ChannelVersions], tuple[Checkpoint, Prepare] | None]
"""Gets thread, namespace and checkpoint; returns what to store instead, or nothing."""

AfterPut = Callable[[str, str, str, Checkpoint, CheckpointMetadata], None]
"""Gets thread, namespace, parent, checkpoint (as it was given) and metadata; must neither wait nor raise."""

AfterGet = Callable[[str, str, Checkpoint], None]
"""Gets thread, namespace and a checkpoint that somebody may go on from; must neither wait nor raise."""

BeforeDelete = Callable[[str], Awaitable[None]]
"""Gets the thread: what is still on its way there must arrive before, or it would outlive the thread."""


@dataclass(slots=True)
class Hooks:
    """Shared by the shallow copies of a saver."""

    before_put: BeforePut | None = None
    before_delete: BeforeDelete | None = None
    after_put: AfterPut | None = None
    after_get: AfterGet | None = None
