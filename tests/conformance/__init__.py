"""Runners for other projects' conformance data, read in place."""
