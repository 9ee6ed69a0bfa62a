"""The outputs beside Elasticsearch, one file each."""
