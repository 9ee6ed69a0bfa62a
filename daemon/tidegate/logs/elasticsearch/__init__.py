"""Elasticsearch and OpenSearch: bulk requests, templates, searches. The only home of their client."""
