"""Durations, and the promise that every field is documented where it is declared and in the docs."""

from __future__ import annotations

import ast
import inspect
import pathlib

import pydantic
import pytest

from tidegate.model import httpclient, scraping, settings

DOCS = pathlib.Path(__file__).parents[2] / "docs/settings.md"


@pytest.mark.parametrize(
    ("text", "value"),
    [("30s", 30.0), ("1h30m", 5400.0), ("500ms", 0.5), ("1d", 86400.0), ("0", 0.0), (15, 15), ("2w", 1209600.0)],
)
def test_durations(text: object, value: float) -> None:
    assert settings.Scrape.model_validate({"interval": text}).interval == value


@pytest.mark.parametrize("text", ["30", "s", "1.5h", "-5s", "5 m", "m5", "", [], -1])
def test_what_is_not_a_duration_is_refused(text: object) -> None:
    with pytest.raises(pydantic.ValidationError):
        settings.Scrape.model_validate({"interval": text})


def sections() -> list[type[pydantic.BaseModel]]:
    return [
        kind
        for module in (settings, scraping, httpclient)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, pydantic.BaseModel) and kind.__module__ == module.__name__
    ]


def documented(section: type[pydantic.BaseModel]) -> set[str]:
    """The fields with a docstring, those of its bases too."""
    found: set[str] = set()
    for kind in (one for one in section.__mro__ if one.__module__.startswith("tidegate.")):
        tree = ast.parse(inspect.getsource(kind)).body[0]
        assert isinstance(tree, ast.ClassDef)
        found |= {
            before.target.id
            for before, after in zip(tree.body, tree.body[1:], strict=False)
            if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and isinstance(after, ast.Expr)
        }
    return found


@pytest.mark.parametrize("section", sections(), ids=lambda kind: kind.__name__)
def test_every_field_has_a_docstring_and_is_in_the_docs(section: type[pydantic.BaseModel]) -> None:
    assert set(section.model_fields) <= documented(section)
    text = DOCS.read_text()
    for name, field in section.model_fields.items():
        assert f"`{field.alias or name}`" in text, f"{section.__name__}.{name} is not in docs/settings.md"
