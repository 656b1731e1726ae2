"""`python -m langgraph_session_bridge.cli`."""

from langgraph_session_bridge.cli import main

main()
