"""Lists, histories and what many sessions amount to."""
