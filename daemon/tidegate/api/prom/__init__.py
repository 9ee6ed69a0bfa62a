"""Prometheus' HTTP API v1: https://prometheus.io/docs/prometheus/latest/querying/api/. One file per kind of question."""
