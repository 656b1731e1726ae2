"""Where sessions are kept: the registry over any store, and the stores."""
