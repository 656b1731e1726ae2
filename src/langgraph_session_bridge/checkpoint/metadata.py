"""Checkpoint metadata: what is stored, what MongoDB may preselect on, and what Python finally compares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph_session_bridge.checkpoint.identifiers import FENCE

_INT64 = 2**63


def redacted(metadata: Mapping[str, Any], given: Mapping[str, Any], pattern: re.Pattern[str]) -> dict[str, Any]:
    """Metadata with secrets from the config replaced; what the graph itself put into `given` stays."""
    return {
        key: "<redacted>" if key not in given and pattern.search(key) else value
        for key, value in metadata.items()
        if key != FENCE or key in given
    }


def filterable(metadata: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The part of the metadata that MongoDB may preselect on: plain strings and numbers under the chosen keys."""
    return {key: metadata[key] for key in keys if key in metadata and _is_plain(metadata[key])}


def preselection(filter_: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """A MongoDB query that leaves out no checkpoint which Python equality would accept."""
    query: dict[str, Any] = {}
    for key, value in filter_.items():
        if key in keys and isinstance(value, str) and _is_plain(value):
            query[f"m.{key}"] = value
        elif key in keys and type(value) is int and value not in (0, 1) and _is_plain(value):
            query[f"m.{key}"] = {"$in": [value, None]}  # a number of another type is not stored in the clear
    return query


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 512 and value.isprintable()
    return type(value) in (bool, int, float) and -_INT64 <= value < _INT64


def matches(metadata: Mapping[str, Any], filter_: Mapping[str, Any] | None) -> bool:
    """Whether metadata has every key of the filter with an equal value, as in the reference saver."""
    return not filter_ or all(value == metadata.get(key) for key, value in filter_.items())
