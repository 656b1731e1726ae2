"""Records: what the agent did and what it was told, kept by the same pipeline as its state."""
