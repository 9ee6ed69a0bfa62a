"""HTTP: native, Prometheus' and Alertmanager's APIs, and the page."""
