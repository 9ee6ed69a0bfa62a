"""The sample store, and PromQL over it."""
