"""The audio of voice sessions: counts, states, latencies and references; never audio itself."""
