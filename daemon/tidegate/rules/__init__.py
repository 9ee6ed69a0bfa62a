"""Rule files, their evaluation, and the life of alerts."""
