"""Wiring of `tidegate agent`."""
