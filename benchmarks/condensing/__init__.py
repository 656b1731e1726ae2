"""Condensers side by side: who takes part, what is checked, how it is told."""
