"""Samples from and to others over Prometheus' remote-write protocol."""
