"""Live data for commands about rules: instant queries over any Prometheus-compatible API, each asked once."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from tidegate.cli import client
from tidegate.model import labels as labels_
from tidegate.model import problems
from tidegate.rules.lint import subject


def asker(url: str, token: str) -> subject.Ask:
    """Evaluates queries at a URL; answers are kept for as long as the function."""

    @functools.cache
    def ask(expr: str) -> Sequence[tuple[labels_.Labels, float]]:
        try:
            response = client.request("GET", url, "/api/v1/query", params={"query": expr}, token=token)
        except client.Unreachable as error:
            raise problems.TransientError(str(error)) from None
        body = client.parse(response)
        if not response.is_success or not isinstance(body, dict) or "data" not in body:
            raise problems.QueryError(f"{url} answered: {client.detail(response)}")
        return _samples(body["data"])

    return ask


def _samples(data: dict[str, object]) -> list[tuple[labels_.Labels, float]]:
    """A vector's samples. Raises `QueryError` for anything else."""
    result = data.get("result")
    if data.get("resultType") == "scalar" and isinstance(result, list):
        return [((), float(result[1]))]
    if data.get("resultType") != "vector" or not isinstance(result, list):
        raise problems.QueryError(f"expected a vector, got a {data.get('resultType')}")
    return [
        (labels_.make(item["metric"]), float(item["value"][1]) if "value" in item else float("nan")) for item in result
    ]
