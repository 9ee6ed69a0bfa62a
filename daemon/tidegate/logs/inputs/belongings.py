"""How the lines of a spool are to be shipped, also when their input is no longer in the settings.

What was acknowledged must be shipped, so each spool's folder holds the settings that its lines were received under.
"""

from __future__ import annotations

import glob
import os
import pathlib
from collections.abc import Container, Iterator

import pydantic

from tidegate.logs.inputs import segments
from tidegate.model import receiving, settings

FILE = "shipped-as.json"


def of(folder: pathlib.Path, config: receiving.Received) -> settings.LogInput:
    """What the reader has to read of one input's spool."""
    common = receiving.Received.model_fields.keys() - {"spool"}
    return _reading(folder, {name: getattr(config, name) for name in common})


def remember(folder: pathlib.Path, reading: settings.LogInput) -> None:
    """Put on disk how a spool is read. Blocking. Raises `OSError`."""
    text = reading.model_dump_json(include=receiving.Received.model_fields.keys() - {"spool"})
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() == text:
        return
    new = path.with_suffix(".new")
    new.write_text(text)
    with new.open() as file:
        os.fsync(file.fileno())
    new.replace(path)


def left(folder: pathlib.Path, known: Container[str]) -> Iterator[tuple[str, settings.LogInput]]:
    """Spools with something in them whose input is gone, by name. Blocking."""
    for path in sorted(folder.glob("*/")):
        if path.name not in known and any(path.glob(f"*{segments.SUFFIX}")):
            yield path.name, _recalled(path)


def _recalled(folder: pathlib.Path) -> settings.LogInput:
    """As it was remembered; under the default names when that cannot be read."""
    try:
        kept = receiving.Received.model_validate_json((folder / FILE).read_bytes())
    except (OSError, pydantic.ValidationError):
        kept = receiving.Received()
    return of(folder, kept)


def _reading(folder: pathlib.Path, common: dict[str, object]) -> settings.LogInput:
    pattern = f"{glob.escape(str(folder))}/*{segments.SUFFIX}"
    return settings.LogInput.model_validate({"paths": (pattern,), "format": "spool", **common})
