"""Where something happened: the ids that a callback's metadata, its run and the running task tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.runtime import ExecutionInfo, get_runtime

from langgraph_session_bridge.records.capture.capture import Capture
from langgraph_session_bridge.records.capture.plain import canonical, plain

_NAMED = ("session_id", "user_id", "branch_id")
_KNOWN = {*_NAMED, "thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "run_id", "assistant_id", "graph_id"}
_INTERNAL = ("langgraph_", "ls_", "lc_", "__")
_STEP_TAGS = ("seq:step:", "graph:step:", "map:key:")
_MAX_ENTRIES = 32
_MAX_CHARS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """A run, who called it, and the outermost run of its thread."""

    run_id: str
    parent_run_id: str | None
    root_run_id: str


def place(ids: Ids, metadata: Mapping[str, Any], tags: Sequence[str] | None, capture: Capture) -> dict[str, Any]:
    """What all records say of where they come from, as fields of a facet; what is not known is left out."""
    namespace = text(metadata.get("langgraph_checkpoint_ns"))
    info = execution(namespace)
    fields: dict[str, Any] = {
        "run_id": ids.run_id,
        "parent_run_id": ids.parent_run_id,
        "root_run_id": ids.root_run_id,
        "graph_node": text(metadata.get("langgraph_node")),
        "graph_step": metadata.get("langgraph_step"),
        "graph_path": plain(metadata.get("langgraph_path")),
        "checkpoint_ns": namespace,
        "task_id": task_of(namespace),
        "checkpoint_id": info.checkpoint_id if info else None,
        "node_attempt": info.node_attempt if info else None,
        "agent_name": text(metadata.get("lc_agent_name")),
        "tags": _tags(tags or (), capture),
        "metadata": _own(metadata, capture),
    }
    fields |= {name: text(metadata.get(name)) for name in _NAMED}
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def task_of(namespace: str | None) -> str | None:
    """The task's id: the last part of the full namespace. The root of a graph has none."""
    _, separator, task_id = (namespace or "").rpartition(":")
    return task_id if separator else None


def execution(namespace: str | None) -> ExecutionInfo | None:
    """What LangGraph knows of the task that runs here, if that is the task of this namespace."""
    try:
        runtime = get_runtime()
    except (RuntimeError, KeyError):  # outside of any run, or in one that is not LangGraph's
        return None
    info = getattr(runtime, "execution_info", None)
    return info if info is not None and info.checkpoint_ns == namespace else None


def text(value: Any) -> str | None:
    """An id as text: bounded, and nothing in it that UTF-8 has no bytes for."""
    return None if value is None else str(value)[:1024].encode("utf-8", "replace").decode()


def _tags(tags: Sequence[str], capture: Capture) -> list[str]:
    own = [tag for tag in tags if not tag.startswith(_STEP_TAGS)][:_MAX_ENTRIES]
    return [str(capture.name(tag))[:_MAX_CHARS] for tag in own]


def _own(metadata: Mapping[str, Any], capture: Capture) -> dict[str, Any]:
    """What the application put into the metadata: simple values, redacted like everything else."""
    found: dict[str, Any] = {}
    for name, value in metadata.items():
        if name in _KNOWN or name.startswith(_INTERNAL) or not isinstance(value, (str, int, float)):
            continue
        kept = capture.take(value, key=name).text
        if kept is not None and len(found) < _MAX_ENTRIES:
            known_as = str(capture.name(name))[:_MAX_CHARS].replace("\0", "")
            found[known_as] = value if _is_whole(value, kept) else kept
    return found


def _is_whole(value: str | int | float, kept: str) -> bool:
    """Whether a number was neither redacted nor cut, and can be stored as one."""
    return not isinstance(value, str) and kept == canonical(value) and (isinstance(value, float) or abs(value) < 2**63)
