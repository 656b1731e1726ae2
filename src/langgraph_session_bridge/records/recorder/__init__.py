"""The recorder: LangChain's and LangGraph's callbacks become records."""
