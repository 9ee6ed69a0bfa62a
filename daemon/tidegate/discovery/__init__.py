"""Finds targets: written in the settings, or in files that others write."""
