"""The rule packs that are shipped: their names, their files, and their runbooks.

A wheel carries them inside the package (`tidegate/shipped/`, see `force-include` in `pyproject.toml`); a source tree has
them in `rules/` and `docs/runbooks/`. This module only finds files; `plan` loads the rules, `api` shows the runbooks.
"""

from __future__ import annotations

import pathlib

NAMES = ("elasticsearch", "http", "kubernetes", "node", "probes", "security", "tidegate")
"""Every pack, in alphabetical order."""

_PACKAGE = pathlib.Path(__file__).parent
_SHIPPED = _PACKAGE / "shipped"
_TREE = _PACKAGE.parents[1]


def rules(name: str) -> pathlib.Path:
    """The rule file of a pack. Raises `KeyError` for a name that is not in `NAMES`."""
    return _find(name, _SHIPPED / f"{name}.yaml", _TREE / f"rules/{name}.yaml")


def runbook(name: str) -> pathlib.Path:
    """The Markdown runbook of a pack. Raises `KeyError` for a name that is not in `NAMES`."""
    return _find(name, _SHIPPED / f"runbooks/{name}.md", _TREE / f"docs/runbooks/{name}.md")


def read_runbook(name: str) -> str | None:
    """The text of a pack's runbook; `None` when there is no such pack."""
    return runbook(name).read_text("utf-8") if name in NAMES else None


def _find(name: str, shipped: pathlib.Path, tree: pathlib.Path) -> pathlib.Path:
    if name not in NAMES:
        raise KeyError(name)
    return shipped if shipped.exists() else tree
