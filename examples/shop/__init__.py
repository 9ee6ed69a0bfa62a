"""A small shop that can be broken and repaired."""
