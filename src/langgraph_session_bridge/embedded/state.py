"""What an instance remembers on disk: its server processes, their ports, and whether `up` wants them kept."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType

from langgraph_session_bridge.embedded.layout import Layout, unusable
from langgraph_session_bridge.embedded.processes import is_alive


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """One server process; after it ended, its port is what the next one tries first."""

    pid: int
    birth: str
    port: int
    binary: str
    version: str
    ready: bool = False

    def is_alive(self) -> bool:
        """Whether the process still runs, and is not another one with the same id."""
        return is_alive(self.pid, self.birth)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The content of `state.json`."""

    servers: Mapping[str, ServerRecord] = field(default_factory=lambda: MappingProxyType({}))
    keep: bool = False

    def alive(self) -> dict[str, ServerRecord]:
        """The servers that run."""
        return {name: record for name, record in self.servers.items() if record.is_alive()}

    def with_server(self, name: str, record: ServerRecord) -> State:
        """A copy in which this server has this record."""
        return replace(self, servers={**self.servers, name: record})


def load(layout: Layout) -> State:
    """Read the state; none, or one that is not ours, is an empty one.

    That is safe: a server which still runs unknown to the state holds its guard, so no second one is started.

    Raises:
        EmbeddedServerError: This user may not read it.
    """
    try:
        text = layout.state.read_bytes()
    except FileNotFoundError:
        return State()
    except OSError as error:
        raise unusable(layout, str(error)) from error
    try:
        content = json.loads(text)
        servers = {str(name): ServerRecord(**record) for name, record in content["servers"].items()}
        return State(servers=servers, keep=bool(content["keep"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return State()


def save(layout: Layout, state: State) -> None:
    """Replace the state at once: readers see the old one or the new one."""
    servers = {name: asdict(record) for name, record in state.servers.items()}
    content = {"servers": servers, "keep": state.keep}
    draft = layout.state.with_suffix(".tmp")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(content, indent=1))
    os.replace(draft, layout.state)
