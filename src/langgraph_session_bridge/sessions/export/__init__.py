"""What happened in a session, in order: as a timeline, replayed, or written in a format that others read."""
