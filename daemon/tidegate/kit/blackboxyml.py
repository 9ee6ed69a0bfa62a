"""A blackbox exporter's `blackbox.yml` as modules of our probes: a team points us at the file it has.

Modules that we cannot do are told in a notice, never left out in silence: a job that names one is an error later.
"""

from __future__ import annotations

import dataclasses
import glob
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.kit import validate, yamlfile
from tidegate.model import probing, problems
from tidegate.model.section import Section


class _ConfigFile(Section):
    """The exporter's file."""

    modules: dict[str, probing.Module] = {}  # noqa: RUF012 - pydantic copies it


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """What files brought."""

    modules: dict[str, Any]
    notices: tuple[problems.Problem, ...] = ()


def read(patterns: Sequence[str], folder: pathlib.Path) -> Read:
    """The modules of further files, as they are written there. Raises `ConfigError` with every problem, at its place."""
    modules: dict[str, Any] = {}
    notices: list[problems.Problem] = []
    wrong: list[problems.Problem] = []
    for pattern in patterns:
        paths = sorted(glob.glob(str(folder / pathlib.Path(pattern).expanduser())))  # noqa: PTH207 - absolute patterns
        if not paths and not glob.has_magic(pattern):
            wrong.append(problems.Problem("file-unreadable", "cannot read: there is no such file", pattern))
        for path in paths:
            try:
                document, given = _modules(pathlib.Path(path))
            except problems.ConfigError as error:
                wrong += error.problems
                continue
            for name in given.keys() & modules.keys():
                summary = f"the module {name!r} stands in two files"
                wrong.append(document.problem("probe-module-twice", summary, ("modules", name), key=True))
            modules |= document.value.get("modules") or {}
            notices += notes(given, document, ("modules",))
    if wrong:
        raise problems.ConfigError(wrong)
    return Read(modules, tuple(notices))


def _modules(path: pathlib.Path) -> tuple[yamlfile.Document, dict[str, probing.Module]]:
    document = yamlfile.read(path)
    if document.value is None:
        document.value = {}
    return document, validate.model(_ConfigFile, document.value, document, prefix="settings-").modules


def notes(
    modules: Mapping[str, probing.Module], document: yamlfile.Document, at: yamlfile.Path
) -> list[problems.Problem]:
    """A notice for each module that cannot be used."""
    found = []
    for name, module in modules.items():
        if module.unsupported:
            summary = f"the module {name!r} cannot be used: {module.unsupported}"
            one = document.problem("probe-unsupported", summary, (*at, name), key=True)
            found.append(dataclasses.replace(one, severity="warning"))
    return found
