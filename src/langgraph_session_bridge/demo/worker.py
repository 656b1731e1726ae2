"""A process that runs the assistant on one thread, from its beginning or from where another one died.

It reads its task from standard input and tells its progress in lines of JSON. It exits when the run is complete.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata

from langgraph_session_bridge.checkpoint.saver import SessionBridgeSaver
from langgraph_session_bridge.demo.agent import build_agent, opening
from langgraph_session_bridge.demo.models import open_model
from langgraph_session_bridge.demo.task import Task
from langgraph_session_bridge.demo.tools import workspace_tools
from langgraph_session_bridge.errors import SessionBridgeError

_MOST_STEPS = 60
_STDOUT = 1


class TimedSaver(SessionBridgeSaver):
    """Tells of every put when it is acknowledged, and how long that took."""

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `SessionBridgeSaver.put`."""
        start = time.perf_counter()
        stored = super().put(config, checkpoint, metadata, new_versions)
        tell("put", step=metadata.get("step"), ms=(time.perf_counter() - start) * 1000)
        return stored


def tell(event: str, **facts: Any) -> None:
    """Writes one event at once, so that a kill can't leave half a line."""
    os.write(_STDOUT, (json.dumps({"event": event, **facts}) + "\n").encode())


def run(task: Task) -> None:
    """Starts the thread's run, or continues it if there is a checkpoint."""

    def watch(step: int, node: str, doing: str) -> None:
        tell("step", step=step, node=node, doing=doing)
        time.sleep(task.pace_s)

    tools = workspace_tools(Path(task.path))
    model = open_model(task.model, tools)
    config: RunnableConfig = {"configurable": {"thread_id": task.thread_id}, "recursion_limit": _MOST_STEPS}
    with TimedSaver.from_conn_string(task.mongodb_uri, task.redis_url, **task.settings) as saver:
        agent = build_agent(model, tools, saver, watch)
        start = time.perf_counter()
        found = saver.get_tuple(config)
        tell("read", ms=(time.perf_counter() - start) * 1000, step=found.metadata.get("step") if found else None)
        agent.invoke(opening() if found is None else None, config, durability=task.durability)
    tell("done")


def main() -> None:
    """Runs the task on standard input; a mistake becomes an event."""
    try:
        run(Task(**json.loads(sys.stdin.readline())))
    except SessionBridgeError as error:
        tell("failed", error=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
