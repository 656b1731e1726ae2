"""What models are told besides the conversation: said in nodes and tools, or queued for the next call."""
