"""The embedded log store's database: its shape, what writes it, what reads it. Nothing here knows the event loop."""
