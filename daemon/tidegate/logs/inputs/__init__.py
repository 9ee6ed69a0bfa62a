"""Inputs that lines are sent to: they write what they receive to a spool on disk, which the file reader ships."""
