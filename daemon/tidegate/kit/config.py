"""Loads the settings: YAML file, environment over it, secrets from files. Nothing is used unless all of it is good.

Environment: `TIDEGATE_SECTION__FIELD` (JSON for lists and maps). Names without `__` other than a top-level field's
(`TIDEGATE_DATA_DIR`) are not ours to judge: Kubernetes puts its own `TIDEGATE_PORT_...` there.
"""

from __future__ import annotations

import dataclasses
import pathlib
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic

from tidegate.kit import blackboxyml, prometheusyml, validate, yamlfile
from tidegate.model import problems, settings

PREFIX = "TIDEGATE_"
_FILE = "_file"


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and the document they came from, for problems that are found later."""

    settings: settings.Settings
    document: yamlfile.Document
    folder: pathlib.Path
    """What relative paths in the settings are relative to."""
    notices: tuple[problems.Problem, ...] = ()
    """What of the file is not used."""
    files: tuple[pathlib.Path, ...] = ()
    """Secrets and certificates that the settings name: what is in them may change, too."""

    def resolve(self, path: str) -> pathlib.Path:
        """A path of the settings, as an absolute one."""
        return self.folder / pathlib.Path(path).expanduser()


def load(path: pathlib.Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read the settings. Without a path: defaults and environment. Raises `ConfigError`."""
    document = yamlfile.read(path) if path else yamlfile.Document("", "environment")
    if document.value is not None and not isinstance(document.value, dict):
        raise problems.ConfigError([document.problem("settings-wrong-type", "the settings should be a mapping", ())])
    folder = path.resolve().parent if path else pathlib.Path.cwd()
    given = document.value or {}
    notices: tuple[problems.Problem, ...] = ()
    if prometheusyml.recognised(given):
        translated = prometheusyml.translated(document)
        given, notices = translated.values, translated.notices
    values = _merge(given, _from_environment(environ))
    named = tuple(folder / pathlib.Path(name).expanduser() for name in _files(values))
    _read_secrets(values, settings.Settings, folder, document, ())
    _read_config_files(values, folder)
    elsewhere = _read_probes(values, folder)
    found = validate.model(settings.Settings, values, document, prefix="settings-")
    here = {name: one for name, one in found.probes.modules.items() if name not in elsewhere.modules}
    notices += (*elsewhere.notices, *blackboxyml.notes(here, document, ("probes", "modules")))
    return Loaded(found, document, folder, notices, named)


def _files(value: Any) -> Iterator[str]:
    """Every value of a field that ends in `_file`."""
    if isinstance(value, dict):
        for key, part in value.items():
            if isinstance(part, str) and part and str(key).endswith(_FILE):
                yield part
            else:
                yield from _files(part)
    elif isinstance(value, list):
        for part in value:
            yield from _files(part)


def _read_config_files(values: dict[str, Any], folder: pathlib.Path) -> None:
    """Add the jobs of `scrape.config_files`. Raises `ConfigError`."""
    scrape = values.get("scrape")
    if not isinstance(scrape, dict):
        return
    patterns = scrape.get("config_files")
    if isinstance(patterns, list) and all(isinstance(one, str) for one in patterns):
        more = prometheusyml.jobs_in(patterns, folder)
        if more:
            values["scrape"] = {**scrape, "jobs": [*(scrape.get("jobs") or []), *more]}


def _read_probes(values: dict[str, Any], folder: pathlib.Path) -> blackboxyml.Read:
    """Add the modules of `probes.config_files`; those in the settings win. Raises `ConfigError`."""
    given = values.get("probes")
    patterns = given.get("config_files") if isinstance(given, dict) else None
    if (
        not isinstance(given, dict)
        or not isinstance(patterns, list)
        or not all(isinstance(one, str) for one in patterns)
    ):
        return blackboxyml.Read({})
    own = given.get("modules") or {}
    found = blackboxyml.read(patterns, folder)
    if isinstance(own, dict):
        values["probes"] = {**given, "modules": {**found.modules, **own}}
        return dataclasses.replace(found, modules={name: one for name, one in found.modules.items() if name not in own})
    return found


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Nested values of the environment, by pydantic-settings' own rules."""
    top = {name.upper() for name in settings.Settings.model_fields}
    known = {
        name: text
        for name, text in environ.items()
        if name.startswith(PREFIX) and ("__" in name or name.removeprefix(PREFIX).removesuffix("_FILE") in top)
    }
    values = _exploded(known) if known else {}
    stray = [name for name in known if name.removeprefix(PREFIX).split("__")[0].lower() not in _lower(top)]
    if stray:
        raise problems.ConfigError([_stray(name, top) for name in sorted(stray)])
    return values


def _exploded(known: Mapping[str, str]) -> dict[str, Any]:
    """The variables as nested values. Raises `ConfigError` for JSON that is none."""
    import pydantic_settings  # noqa: PLC0415 - a quarter of an offline command's start, for those who set something

    class Shape(pydantic_settings.BaseSettings, settings.Settings):  # type: ignore[misc]  # two model_configs
        """The same fields, as pydantic-settings wants to see them."""

    source = pydantic_settings.EnvSettingsSource(
        Shape, env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True
    )
    source.env_vars = {name.lower(): text for name, text in known.items()}
    try:
        values: dict[str, Any] = source()
    except pydantic_settings.exceptions.SettingsError as error:
        raise problems.ConfigError([problems.Problem("settings-environment", str(error), "environment")]) from None
    return values


def _lower(names: set[str]) -> set[str]:
    return {name.lower() for name in names}


def _stray(name: str, top: set[str]) -> problems.Problem:
    section = name.removeprefix(PREFIX).split("__")[0]
    hint = validate.closest(section, top) or f"sections: {', '.join(sorted(_lower(top)))}"
    return problems.Problem("settings-unknown-field", f"no section for `{name}`", "environment", hint=hint)


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _read_secrets(
    values: dict[str, Any],
    cls: type[pydantic.BaseModel],
    folder: pathlib.Path,
    document: yamlfile.Document,
    at: tuple[str | int, ...],
) -> None:
    """Replace each `x_file` by the content of the file, where `x` is a secret. Raises `ConfigError`."""
    for name, field in cls.model_fields.items():
        key = field.alias or name
        own = f"{key}{_FILE}" in cls.model_fields  # a file that is read again and again is a setting of its own
        if pydantic.SecretStr in _types(field.annotation) and f"{key}{_FILE}" in values and not own:
            given = values.pop(f"{key}{_FILE}")
            if key in values:
                problem = document.problem(
                    "settings-secret-twice", f"give `{key}` or `{key}{_FILE}`, not both", (*at, key)
                )
                raise problems.ConfigError([problem])
            values[key] = read_secret(folder / str(given), document, (*at, f"{key}{_FILE}"))
        for sub, part, step in _sections(field.annotation, values.get(key), (*at, key)):
            _read_secrets(part, sub, folder, document, step)


def read_secret(path: pathlib.Path, document: yamlfile.Document, at: yamlfile.Path) -> str:
    """The content of a secret's file, without the final newline. Raises `ConfigError` when it cannot be read or is empty."""
    try:
        text = path.expanduser().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        summary = f"cannot read the secret's file {str(path)!r}: {reason}"
        raise problems.ConfigError([document.problem("settings-secret-unreadable", summary, at)]) from None
    if not text:
        raise problems.ConfigError(
            [document.problem("settings-secret-empty", f"the secret's file {str(path)!r} is empty", at)]
        )
    return text


def _types(annotation: Any) -> tuple[Any, ...]:
    return typing.get_args(annotation) or (annotation,)


def _sections(
    annotation: Any, value: Any, at: tuple[str | int, ...]
) -> Iterator[tuple[type[pydantic.BaseModel], dict[str, Any], tuple[str | int, ...]]]:
    """The sub-sections of one field's value, with their classes and places."""
    for kind in (annotation, *typing.get_args(annotation)):
        if not (isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)):
            continue
        if isinstance(value, dict) and typing.get_origin(annotation) is dict:
            yield from ((kind, part, (*at, str(name))) for name, part in value.items() if isinstance(part, dict))
        elif isinstance(value, dict):
            yield kind, value, at
        elif isinstance(value, list):
            yield from ((kind, part, (*at, index)) for index, part in enumerate(value) if isinstance(part, dict))
