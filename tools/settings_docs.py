"""Writes docs/settings.md from the docstrings of `tidegate.model.settings`: `python -m tools.settings_docs [--check]`."""

from __future__ import annotations

import ast
import inspect
import pathlib
import sys
import typing

import pydantic

from tidegate.model import settings

TARGET = pathlib.Path(__file__).parents[1] / "docs/settings.md"
HEAD = """\
# Settings

One YAML file, given with `--config` (default `tidegate.yaml`, then `/etc/tidegate/tidegate.yaml`). Each field can also be given
in the environment as `TIDEGATE_SECTION__FIELD`, which wins over the file: `TIDEGATE_SCRAPE__INTERVAL=30s`,
`TIDEGATE_DATA_DIR=/var/lib/tidegate`; lists and maps are written as JSON there. Fields marked *secret* can come from a file:
`slack_api_url_file: /run/secrets/slack` in YAML, or `TIDEGATE_ALERTS__GLOBAL__SLACK_API_URL_FILE=/run/secrets/slack`. A
secret's file that is missing or empty is an error. Relative paths are relative to the settings file.

A duration is a number of seconds, or Prometheus' form: `30s`, `5m`, `1h30m`, `2d`. Unknown fields are refused, with the place
and what was probably meant. `tidegate check` shows every problem.

This page is made from the code: `make docs`.
"""


def main() -> int:
    """Write the page, or with `--check` say whether it is up to date."""
    text = render()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() != text:
            print("docs/settings.md is not what the code says: run `make docs`")
            return 1
        return 0
    TARGET.write_text(text)
    return 0


def render() -> str:
    """The page."""
    done: list[type[pydantic.BaseModel]] = []
    parts = [HEAD]
    _section(settings.Settings, "", done, parts)
    return "\n".join(parts)


def _section(cls: type[pydantic.BaseModel], path: str, done: list[type[pydantic.BaseModel]], parts: list[str]) -> None:
    if cls in done:
        return
    done.append(cls)
    title = f"`{path}`" if path else "Top level"
    parts.append(f"## {title}\n\n{inspect.getdoc(cls)}\n\n| field | default | meaning |\n|---|---|---|")
    texts = docstrings(cls)
    below: list[tuple[type[pydantic.BaseModel], str]] = []
    for name, field in cls.model_fields.items():
        shown = field.alias or name
        parts.append(f"| `{shown}` | {_default(field)} | {texts[name]} |")
        below += [(kind, _step(path, shown, field.annotation)) for kind in _models(field.annotation)]
    parts.append("")
    for kind, step in below:
        _section(kind, step, done, parts)


def docstrings(cls: type[pydantic.BaseModel]) -> dict[str, str]:
    """The text under each field, on one line; those of its base classes too."""
    own = [one for one in cls.__mro__ if issubclass(one, pydantic.BaseModel) and one is not pydantic.BaseModel]
    return {name: text for one in reversed(own) for name, text in _written(one).items()}


def _written(cls: type[pydantic.BaseModel]) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for before, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(after, ast.Expr):
            found[before.target.id] = " ".join(ast.literal_eval(after.value).split())
    return found


def _kinds(annotation: object) -> set[object]:
    """All types that an annotation is made of."""
    parts = typing.get_args(annotation)
    return {annotation, *parts}.union(*map(_kinds, parts)) if parts else {annotation}


def _default(field: pydantic.fields.FieldInfo) -> str:
    if field.is_required():
        return "required"
    if pydantic.SecretStr in _kinds(field.annotation):
        return "*secret*"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, pydantic.BaseModel) or (
        isinstance(value, tuple) and value and isinstance(value[0], pydantic.BaseModel)
    ):
        return "see below"
    if value is None or value in ("", (), {}):
        return "none"
    if isinstance(value, dict):
        return "see below"
    return f"`{', '.join(value) if isinstance(value, tuple) else value}`".replace("True", "true").replace(
        "False", "false"
    )


def _models(annotation: object) -> list[type[pydantic.BaseModel]]:
    kinds = [annotation, *typing.get_args(annotation)]
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)]


def _step(path: str, name: str, annotation: object) -> str:
    origin = typing.get_origin(annotation)
    suffix = "[]" if origin is tuple else ".<name>" if origin is dict else ""
    return (f"{path}." if path else "") + name + suffix


if __name__ == "__main__":
    sys.exit(main())
