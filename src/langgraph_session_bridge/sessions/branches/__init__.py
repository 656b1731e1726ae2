"""Going back in a session, and elsewhere."""
