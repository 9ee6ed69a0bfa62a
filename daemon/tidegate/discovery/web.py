"""Targets that a URL tells: Prometheus' `http_sd_configs` (https://prometheus.io/docs/prometheus/latest/http_sd/).

The answer is a JSON list of `{targets: [...], labels: {...}}` with status 200 and content type `application/json`. Whatever
goes wrong keeps the last good list, and says so.
"""

from __future__ import annotations

import pathlib
import re

import orjson
import pydantic

from tidegate.discovery import build, files
from tidegate.kit import access, http
from tidegate.model import ports, problems, scraping

TIMEOUT = 30.0
JSON = re.compile(r'application/json(;\s*charset=("utf-8"|utf-8))?', re.IGNORECASE)
LARGEST = 32 * 1024 * 1024


class Web:
    """Asks the URL of one entry."""

    kind = "http"

    def __init__(self, entry: scraping.HttpConfig, folder: pathlib.Path, clock: ports.Clock) -> None:
        self._entry = entry
        self._access = access.Access(access.resolved(entry.client(), folder), clock)
        self._good: list[build.Discovered] = []
        self.interval = entry.refresh_interval
        self.problems: tuple[problems.Problem, ...] = ()

    async def find(self) -> list[build.Discovered]:
        """The targets as the URL tells them now."""
        try:
            self._good = await self._ask()
            self.problems = ()
        except (problems.TransientError, problems.PermanentError, ValueError) as error:
            summary = f"cannot use {self._entry.url}: {error}"
            self.problems = (problems.Problem("targets-http", summary, severity="warning"),)
        return self._good

    async def _ask(self) -> list[build.Discovered]:
        url = self._entry.url
        headers = {"x-prometheus-refresh-interval-seconds": f"{self.interval:g}", "accept": "application/json"}
        async with http.client(timeout=TIMEOUT, **self._access.options(url)) as client:
            body, kind = await http.get(client, url, headers | await self._access.headers(), LARGEST)
        if JSON.fullmatch(kind.strip()) is None:
            raise ValueError(f"the answer is {kind or 'of no type'}, not application/json")
        try:
            value = orjson.loads(body)
            groups = files.Groups.model_validate([] if value is None else value).root
        except pydantic.ValidationError as error:
            raise ValueError(f"the answer is no list of targets: {error.errors()[0]['msg']}") from None
        return files.discovered(groups, {"__meta_url": url})
