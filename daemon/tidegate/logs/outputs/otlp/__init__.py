"""OpenTelemetry logs over HTTP: records from ECS documents, two ways of writing them, and the exchange."""
