"""Targets in files that others write: Prometheus' `file_sd_configs`.

A file is a JSON or YAML list of `{targets: [...], labels: {...}}`. A file that cannot be used keeps its last good list, and
says so.
"""

from __future__ import annotations

import glob
import pathlib

import pydantic

from tidegate.discovery import static
from tidegate.kit import validate, yamlfile
from tidegate.model import problems, settings, targets


class _Groups(pydantic.RootModel[list[settings.StaticConfig]]):
    """The content of one file."""


class Files:
    """Reads the files of one job, and remembers the last good content of each."""

    def __init__(self, job: settings.Job, defaults: settings.Scrape, folder: pathlib.Path) -> None:
        self._job, self._defaults, self._folder = job, defaults, folder
        self._good: dict[str, list[targets.Target]] = {}
        self.problems: tuple[problems.Problem, ...] = ()

    def read(self) -> list[targets.Target]:
        """The targets of all files as they are now. Blocks on the disk."""
        found: dict[str, list[targets.Target]] = {}
        wrong: list[problems.Problem] = []
        for pattern in (name for entry in self._job.file_sd_configs for name in entry.files):
            for name in sorted(glob.glob(str(self._folder / pattern))):  # noqa: PTH207 - absolute patterns
                try:
                    found[name] = self._one(pathlib.Path(name))
                except problems.ConfigError as error:
                    wrong += error.problems
                    found[name] = self._good.get(name, [])
        self._good, self.problems = found, tuple(wrong)
        return [target for group in found.values() for target in group]

    def _one(self, path: pathlib.Path) -> list[targets.Target]:
        document = yamlfile.read(path)
        groups = validate.model(_Groups, document.value or [], document, prefix="targets-").root
        made = []
        for number, group in enumerate(groups):
            for place, address in enumerate(group.targets):
                try:
                    made.append(static.target(address, group.labels, self._job, self._defaults))
                except ValueError as error:
                    at = (number, "targets", place)
                    raise problems.ConfigError([document.problem("targets-address", str(error), at)]) from None
        return made
