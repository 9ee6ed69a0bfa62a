"""PromQL on columns."""
