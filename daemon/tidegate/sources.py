"""Which files a configuration is made of beside its own: rule files and packs, scrape configurations, secrets."""

from __future__ import annotations

import glob
import pathlib
from collections.abc import Sequence
from typing import Any

from tidegate import packs
from tidegate.kit import config
from tidegate.model import problems


def watched(loaded: config.Loaded, path: pathlib.Path | None) -> list[str]:
    """Patterns of the files whose change means a reload."""
    own = [str(path.resolve())] if path else []
    own += [str(each) for each in loaded.files]
    own += [str(loaded.resolve(pattern)) for pattern in loaded.settings.scrape.config_files]
    own += [str(loaded.resolve(pattern)) for pattern in loaded.settings.probes.config_files]
    received = (one for _, _, one in loaded.settings.logs.receive.named())
    own += [glob.escape(str(loaded.resolve(name))) for one in received for name in one.tls_files]
    return own + [str(loaded.resolve(pattern)) for pattern in loaded.settings.rules.files]


def rule_files(loaded: config.Loaded) -> list[tuple[pathlib.Path, str]]:
    """The files behind `rules.packs` and `rules.files`, each once, as they should be shown. Raises `ConfigError` for a typo."""
    names, wrong = _packs(loaded)
    for number, pattern in enumerate(loaded.settings.rules.files):
        matches = sorted(glob.glob(str(loaded.resolve(pattern)), recursive=True))  # noqa: PTH207 - absolute patterns
        if not matches and not glob.has_magic(pattern):
            at: Sequence[Any] = ("rules", "files", number)
            wrong.append(loaded.document.problem("rules-no-file", f"there is no rule file {pattern!r}", at))
        names += [pathlib.Path(name) for name in matches]
    if wrong:
        raise problems.ConfigError(wrong)
    found = {path.resolve(): (path, _shown(path)) for path in names}
    return list(found.values())


def _packs(loaded: config.Loaded) -> tuple[list[pathlib.Path], list[problems.Problem]]:
    found, wrong = [], []
    for number, name in enumerate(loaded.settings.rules.packs):
        if name in packs.NAMES:
            found.append(packs.rules(name))
            continue
        at: Sequence[Any] = ("rules", "packs", number)
        hint = f"packs are {', '.join(packs.NAMES)}"
        wrong.append(loaded.document.problem("rules-no-pack", f"there is no rule pack {name!r}", at, hint=hint))
    return found, wrong


def _shown(path: pathlib.Path) -> str:
    resolved = path.resolve()
    here = pathlib.Path.cwd()
    return str(resolved.relative_to(here)) if resolved.is_relative_to(here) else str(resolved)
