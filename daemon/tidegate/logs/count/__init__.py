"""Log metrics: series counted from the lines that pass."""
