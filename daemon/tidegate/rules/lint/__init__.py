"""Checks of rules that load but cannot do what they are meant to: one module a check, `run` puts them together."""
