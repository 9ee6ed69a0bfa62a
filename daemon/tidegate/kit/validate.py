"""From pydantic's errors to problems that a person can act on: place, what is wrong, what was probably meant."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import pydantic
import pydantic_core

from tidegate.kit import yamlfile
from tidegate.model import problems

Model = TypeVar("Model", bound=pydantic.BaseModel)


def model(cls: type[Model], value: Any, document: yamlfile.Document, at: yamlfile.Path = (), prefix: str = "") -> Model:
    """Validate the value found under `at` in a document. Raises `ConfigError` with every problem."""
    try:
        return cls.model_validate(value)
    except pydantic.ValidationError as error:
        raise problems.ConfigError(explain(error, cls, document, at, prefix)) from None


def explain(
    error: pydantic.ValidationError,
    cls: type[pydantic.BaseModel],
    document: yamlfile.Document,
    at: yamlfile.Path = (),
    prefix: str = "",
) -> list[problems.Problem]:
    """One problem for each error; codes are `<prefix>unknown-field`, `missing-field`, `wrong-type`, `wrong-value`."""
    return [_problem(item, cls, document, at, prefix) for item in error.errors()]


def closest(word: str, known: Iterable[str]) -> str:
    """A did-you-mean hint, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.55)
    return f"did you mean `{near[0]}`?" if near else ""


def _problem(
    item: pydantic_core.ErrorDetails,
    cls: type[pydantic.BaseModel],
    document: yamlfile.Document,
    at: yamlfile.Path,
    prefix: str,
) -> problems.Problem:
    path = (*at, *item["loc"])
    kind, name = item["type"], ".".join(str(part) for part in item["loc"])
    if kind == "extra_forbidden":
        word = str(item["loc"][-1])
        known = _fields(cls, item["loc"][:-1])
        hint = closest(word, known) or f"known here: {', '.join(sorted(known))}"
        return document.problem(f"{prefix}unknown-field", f"unknown field `{word}`", path, hint=hint, key=True)
    if kind == "missing":
        return document.problem(f"{prefix}missing-field", f"field `{name}` is required", path)
    message = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    code = "wrong-type" if kind.endswith(("_type", "_parsing")) else "wrong-value"
    expected = item["msg"].startswith("Input should be ")
    summary = f"`{name}` should be {message}" if expected else f"`{name}`: {message}"
    return document.problem(f"{prefix}{code}", summary, path)


def _fields(cls: type[pydantic.BaseModel], loc: Sequence[str | int]) -> set[str]:
    """Names of the fields that may stand at a place."""
    current: Any = cls
    for step in loc:
        current = _step(current, step)
    models = [kind for kind in _flatten(current) if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)]
    return {field.alias or name for kind in models for name, field in kind.model_fields.items()}


def _step(kind: Any, step: str | int) -> Any:
    for option in _flatten(kind):
        if isinstance(option, type) and issubclass(option, pydantic.BaseModel):
            for name, field in option.model_fields.items():
                if step in (name, field.alias):
                    return field.annotation
        arguments = typing.get_args(option)
        if arguments and typing.get_origin(option) in (tuple, list, dict):
            return arguments[-1] if typing.get_origin(option) is dict else arguments[0]
    return None


def _flatten(kind: Any) -> list[Any]:
    if typing.get_origin(kind) in (tuple, list, dict) or not typing.get_args(kind):
        return [kind]
    return [part for argument in typing.get_args(kind) for part in _flatten(argument)]
