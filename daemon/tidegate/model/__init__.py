"""Nouns that all stages share: series, alerts, rules, settings, problems, and the ports through which stages meet.

Pure data. Nothing here does I/O, starts a task or reads a clock; third parties are pydantic and numpy types only.
"""
