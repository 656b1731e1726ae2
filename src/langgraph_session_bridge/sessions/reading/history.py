"""The checkpoints of a session as a history: which led to the present state, and what each step did. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from langgraph_session_bridge.checkpoint.lines import ROLLED_BACK_TO
from langgraph_session_bridge.storage.documents import re_encode

Load = Callable[[Any], Any]
"""Decodes what a checkpoint document holds under `b` or `z`."""


class HistoryEntry(BaseModel):
    """One checkpoint of a session."""

    model_config = ConfigDict(frozen=True)

    checkpoint_id: str
    checkpoint_ns: str = ""
    """Empty for the graph itself; else the sub-graph's."""
    parent_id: str | None = None
    at: datetime | None = None
    source: str | None = None
    """`input`, `loop`, `update` or `fork`."""
    step: int | None = None
    nodes: list[str] = []
    """Nodes that ran in the step that led to it."""
    changed: list[str] = []
    """Keys of the state that the step changed."""
    is_current: bool = False
    """Whether it led to the present state, rather than being on a fork that was left."""
    is_fork: bool = False
    """Whether its parent has another child too, which came before."""
    rolled_back_to: str | None = None
    """The checkpoint that it stands for, if the session was rolled back."""
    run_id: str | None = None
    bytes: int = 0
    """Size of its document; large values and the elements of lists are stored beside it, once for all checkpoints."""


def entries(mains: Mapping[str, Mapping[str, Any]], load: Load, ns: str | None = "") -> Iterator[HistoryEntry]:
    """The checkpoints of a namespace, or of all (`None`), newest first.

    Args:
        mains: Checkpoint documents of the thread, by name.
        load: Decodes a serialised value.
        ns: The namespace.
    """
    chosen = sorted((m for m in mains.values() if ns is None or m["n"] == ns), key=lambda m: m["c"], reverse=True)
    by_place = {(main["n"], main["c"]): main for main in chosen}
    current = _current(by_place)
    first: dict[tuple[str, str | None], str] = {}
    for main in reversed(chosen):
        first.setdefault((main["n"], main["p"]), main["c"])
    bodies: dict[tuple[str, str], Mapping[str, Any]] = {}

    def body(main: Mapping[str, Any]) -> Mapping[str, Any]:
        place = (main["n"], main["c"])
        if place not in bodies:
            bodies[place] = load(main["b"])
        return bodies[place]

    for main in chosen:
        place = (main["n"], main["c"])
        parent = by_place.get((main["n"], main["p"] or ""))
        metadata = load(main["z"])
        yield HistoryEntry(
            checkpoint_id=main["c"],
            checkpoint_ns=main["n"],
            parent_id=main["p"] or None,
            at=body(main).get("ts"),
            source=metadata.get("source"),
            step=metadata.get("step"),
            nodes=_newer(body(main), parent and body(parent), "versions_seen", ("__input__", "__interrupt__")),
            changed=_newer(body(main), parent and body(parent), "channel_versions", ("__", "branch:", "join:")),
            is_current=place in current,
            is_fork=main["p"] is not None and first[main["n"], main["p"]] != main["c"],
            rolled_back_to=metadata.get(ROLLED_BACK_TO),
            run_id=metadata.get("run_id"),
            bytes=len(re_encode(main)),
        )
        bodies.pop(place)


def _current(by_place: Mapping[tuple[str, str], Mapping[str, Any]]) -> set[tuple[str, str]]:
    """Where the newest checkpoint of each namespace came from."""
    heads: dict[str, str] = {}
    for ns, checkpoint_id in by_place:
        heads[ns] = max(heads.get(ns, ""), checkpoint_id)
    found: set[tuple[str, str]] = set()
    for ns, head in heads.items():
        place = (ns, head)
        while place in by_place and place not in found:
            found.add(place)
            place = (ns, by_place[place]["p"] or "")
    return found


def _newer(body: Mapping[str, Any], parent: Mapping[str, Any] | None, part: str, without: tuple[str, ...]) -> list[str]:
    """The names whose versions are not those of the parent."""
    before = (parent or {}).get(part) or {}
    return sorted(
        name
        for name, versions in (body.get(part) or {}).items()
        if before.get(name) != versions and not name.startswith(without)
    )
