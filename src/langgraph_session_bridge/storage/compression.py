"""Compression of document payloads, in both tiers and on the wire. Optional."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from langgraph_session_bridge.errors import ConfigurationError

Compress = Callable[[bytes], bytes]

_SMALL = 256
"""Payloads up to this size stay as they are."""
_LEVEL = 3
_local = threading.local()
"""Contexts of zstandard serve one thread each."""


def compressor(name: str) -> Compress | None:
    """The function that shortens payloads where that pays; `None` for `none`.

    Raises:
        ConfigurationError: Its package is missing.
    """
    if name == "none":
        return None
    _zstandard()
    return _compressed


def _compressed(data: bytes) -> bytes:
    if len(data) <= _SMALL:
        return data
    if not hasattr(_local, "compressor"):
        _local.compressor = _zstandard().ZstdCompressor(level=_LEVEL)
    shorter: bytes = _local.compressor.compress(data)
    return shorter if len(shorter) < len(data) else data


def decompress(data: bytes) -> bytes:
    """The payload again.

    Raises:
        ConfigurationError: The package is missing.
    """
    if not hasattr(_local, "decompressor"):
        _local.decompressor = _zstandard().ZstdDecompressor()
    whole: bytes = _local.decompressor.decompress(data)
    return whole


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError as error:
        message = "Documents are compressed with zstandard; install langgraph-session-bridge[zstd]."
        raise ConfigurationError(message) from error
    return zstandard
