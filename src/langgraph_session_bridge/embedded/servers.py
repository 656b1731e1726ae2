"""What starting needs to know about a kind of server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from langgraph_session_bridge.embedded.layout import Layout
from langgraph_session_bridge.embedded.probing import Binary


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A kind of server: how it is found, started and brought to serve.

    Attributes:
        name: Names its data, log and record.
        find: Finds its binary.
        command: The command line for a layout, a binary and a port.
        advance: Takes one step towards serving on this port as this process id; `True` once it serves.
            Steps may be repeated, also by another process.
    """

    name: str
    find: Callable[[], Binary]
    command: Callable[[Layout, Binary, int], list[str]]
    advance: Callable[[int, int], bool]
