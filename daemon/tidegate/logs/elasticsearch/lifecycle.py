"""What happens to lines in Elasticsearch by themselves: the note of when each arrived, and its removal when it is old."""

from __future__ import annotations

from typing import Any, Final

NAME: Final = "tidegate-logs"
"""Of the ingest pipeline and of the policy."""
PIPELINE_PATH: Final = f"/_ingest/pipeline/{NAME}"
POLICY_PATH: Final = f"/_ilm/policy/{NAME}"


def pipeline() -> dict[str, Any]:
    """Writes `event.ingested`, in milliseconds: a line that comes late is found by it."""
    return {
        "description": "Notes when a line arrived.",
        "processors": [{"set": {"field": "event.ingested", "value": "{{{_ingest.timestamp}}}"}}],
    }


def policy(retention: float) -> dict[str, Any]:
    """Index lifecycle management: a new index each day or 50 GB, gone `retention` seconds after it was full."""
    rollover = {"max_age": "1d", "max_primary_shard_size": "50gb"}
    phases: dict[str, Any] = {"hot": {"actions": {"rollover": rollover}}}
    if retention:
        phases["delete"] = {"min_age": f"{max(int(retention), 1)}s", "actions": {"delete": {}}}
    return {"policy": {"phases": phases, "_meta": {"managed_by": "tidegate"}}}
