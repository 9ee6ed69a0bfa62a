"""Documents on their way to an output, and what becomes of those it refuses."""
