"""Wiring of `tidegate server` and `tidegate run`."""
