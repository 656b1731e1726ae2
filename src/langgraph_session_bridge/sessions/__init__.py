"""Sessions: a registry of LangGraph threads with owner, status, history, counters and lifetime."""
