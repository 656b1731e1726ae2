"""Versions of what the command line stands on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PROJECT = "langgraph-session-bridge"
_OTHERS = ("langgraph", "langgraph-checkpoint", "langchain-core", "pymongo", "motor", "redis")


def version_of(package: str) -> str:
    """An installed package's version; a source tree on the path has none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def all_versions() -> dict[str, str]:
    """Python, this project and its dependencies."""
    return {"python": platform.python_version(), **{name: version_of(name) for name in (PROJECT, *_OTHERS)}}
