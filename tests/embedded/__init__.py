"""Promises of the embedded servers, kept with real servers and real processes."""
