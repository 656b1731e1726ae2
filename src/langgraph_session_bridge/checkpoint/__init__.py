"""LangGraph's checkpointer contract on top of the storage pipeline."""
