"""What is not documented does not exist: commands, metrics, problem codes, API paths, rule files, links."""

from __future__ import annotations

import importlib
import pathlib
import re

import click
import pytest

from tidegate import cli
from tools import commands_docs, settings_docs

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "daemon/tidegate"
PAGES = {path: path.read_text() for path in [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]}
ALL = "\n".join(PAGES.values())
SOURCES = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def test_settings_page_is_what_the_code_says() -> None:
    assert settings_docs.TARGET.read_text() == settings_docs.render()


def test_commands_page_is_what_the_code_says() -> None:
    assert commands_docs.TARGET.read_text() == commands_docs.render()


def commands(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            assert sub is not None
            found += commands(sub, f"{path} {name}")
    return found


def test_every_command_and_option_is_documented() -> None:
    page = (ROOT / "docs/commands.md").read_text()
    missing = []
    for path, command in commands(cli.cli, "tidegate"):
        if f"`{path}" not in page:
            missing.append(path)
        for parameter in command.params:
            names = [name for name in parameter.opts if name.startswith("--")]
            missing += [f"{path} {name}" for name in names if f"`{name}" not in page]
    assert not missing


def test_every_command_has_help_with_an_example_or_subcommands() -> None:
    for path, command in commands(cli.cli, "tidegate"):
        assert command.help, path
        if not isinstance(command, click.Group) and len(command.params) > 2:
            assert "Example" in command.help, path


def test_every_metric_is_documented() -> None:
    pattern = re.compile(r"telemetry\.(Counter|Gauge|Histogram)\(\s*\"(\w+)\"")
    found = {
        match[2] + ("_total" if match[1] == "Counter" and not match[2].endswith("_total") else "")
        for text in SOURCES.values()
        for match in pattern.finditer(text)
    }
    assert len(found) > 30
    assert sorted(name for name in found if f"`{name}" not in ALL) == []
    assert all(name.startswith("tidegate_") for name in found)


def test_every_problem_code_is_documented() -> None:
    pattern = re.compile(r"(?:Problem|problem)\(\s*f?\"([a-z{}]+(?:-[a-z{}]+)+)\"")
    found = {match for text in SOURCES.values() for match in pattern.findall(text) if "{" not in match}
    assert found
    named = set(re.findall(r"[a-z]+(?:-[a-z]+)+", ALL))
    # A stage may put its own prefix before a code: `receiver-` and `no-address`.
    assert sorted(code for code in found if not any(name == code or name.endswith(f"-{code}") for name in named)) == []


def test_every_route_is_documented() -> None:
    api = importlib.import_module("tidegate.api.app")
    page = (ROOT / "docs/api.md").read_text()
    missing = sorted(path for path in api.paths() if f"`{path}" not in page and f" {path}`" not in page)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(page: pathlib.Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGES[page]):
        assert (page.parent / target).exists(), target


def test_every_module_says_what_it_owns() -> None:
    bare = [
        str(path.relative_to(ROOT))
        for path, text in SOURCES.items()
        if not re.match(r'(#!.*\n)?"""', text) and text.strip()
    ]
    assert bare == []
