"""Tidegate: the watch between staging and production."""

__version__ = "0.1.0"
