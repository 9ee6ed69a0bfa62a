"""The alert book, routing, grouping and silences."""
