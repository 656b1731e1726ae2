"""From making a session to the end of everything that belongs to it."""
