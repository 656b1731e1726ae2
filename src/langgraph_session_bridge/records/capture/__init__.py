"""What is kept of recorded values: sizes and hashes always, text redacted and cut."""
