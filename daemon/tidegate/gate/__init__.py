"""Verdicts, and the deploys they are about."""
