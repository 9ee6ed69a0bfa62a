"""Targets in files that others write: Prometheus' `file_sd_configs`.

A file is a JSON or YAML list of `{targets: [...], labels: {...}}`. A file that cannot be used keeps its last good list, and
says so.
"""

from __future__ import annotations

import asyncio
import glob
import pathlib

import pydantic

from tidegate.discovery import build
from tidegate.kit import validate, yamlfile
from tidegate.model import problems, scraping

OFTEN = 5.0
"""Seconds between two looks at the files, at most."""


class Groups(pydantic.RootModel[list[scraping.StaticConfig]]):
    """The content of one file, or of one HTTP answer."""


class Files:
    """Reads the files of one entry, and remembers the last good content of each."""

    kind = "file"

    def __init__(self, entry: scraping.FileConfig, folder: pathlib.Path) -> None:
        self._entry, self._folder = entry, folder
        self._good: dict[str, list[build.Discovered]] = {}
        self.interval = min(entry.refresh_interval, OFTEN)
        self.problems: tuple[problems.Problem, ...] = ()

    async def find(self) -> list[build.Discovered]:
        """The targets of all files as they are now."""
        return await asyncio.to_thread(self.read)

    def read(self) -> list[build.Discovered]:
        """The same. Blocks on the disk."""
        found: dict[str, list[build.Discovered]] = {}
        wrong: list[problems.Problem] = []
        for pattern in self._entry.files:
            for name in sorted(glob.glob(str(self._folder / pattern))):  # noqa: PTH207 - absolute patterns
                try:
                    found[name] = _one(pathlib.Path(name))
                except problems.ConfigError as error:
                    wrong += error.problems
                    found[name] = self._good.get(name, [])
        self._good, self.problems = found, tuple(wrong)
        return [one for group in found.values() for one in group]


def _one(path: pathlib.Path) -> list[build.Discovered]:
    document = yamlfile.read(path)
    if not document.text.strip() and path.suffix.lower() == ".json":
        raise problems.ConfigError([document.problem("yaml-syntax", "an empty file is no JSON; no targets are []", ())])
    groups = validate.model(Groups, [] if document.value is None else document.value, document, prefix="targets-").root
    return discovered(groups, {"__meta_filepath": str(path)})


def discovered(groups: list[scraping.StaticConfig], more: dict[str, str]) -> list[build.Discovered]:
    """The targets of some groups, with labels that say where they come from."""
    return [({"__address__": text}, {**group.labels, **more}) for group in groups for text in group.targets]
