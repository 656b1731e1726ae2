"""A repository assistant that is killed in the middle of a step and goes on in a new process."""

from __future__ import annotations

from langgraph_session_bridge.demo.driver import DemoOptions, run_demo
from langgraph_session_bridge.demo.report import DemoReport, Kill
from langgraph_session_bridge.demo.watching import DemoError, DemoEvent

__all__ = ["DemoError", "DemoEvent", "DemoOptions", "DemoReport", "Kill", "run_demo"]
