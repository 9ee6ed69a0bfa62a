"""Fetches expositions and turns them into samples."""
