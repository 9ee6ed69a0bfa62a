"""The outbox, and one file per receiver."""
