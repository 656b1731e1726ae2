"""Journal, archive and what moves between them."""
