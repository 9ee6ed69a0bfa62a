"""Settings: file, environment, secrets, and what is said when they are wrong."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest

from tidegate.kit import config
from tidegate.model import problems

Writer = Callable[[str], pathlib.Path]


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Writer:
    def write(text: str) -> pathlib.Path:
        path = tmp_path / "tidegate.yaml"
        path.write_text(text)
        return path

    return write


def problems_of(path: pathlib.Path, environ: dict[str, str] | None = None) -> tuple[problems.Problem, ...]:
    with pytest.raises(problems.ConfigError) as caught:
        config.load(path, environ or {})
    return caught.value.problems


def test_nothing_given_is_the_defaults() -> None:
    assert config.load(None, {}).settings.web.listen == "127.0.0.1:9320"


def test_an_empty_file_is_the_defaults(write: Writer) -> None:
    assert config.load(write("# nothing yet\n"), {}).settings.scrape.interval == 15


def test_environment_wins_over_the_file(write: Writer) -> None:
    path = write("scrape: {interval: 30s, timeout: 5s}\ndata_dir: a\n")
    loaded = config.load(
        path, {"TIDEGATE_SCRAPE__INTERVAL": "7s", "TIDEGATE_DATA_DIR": "b", "TIDEGATE_PORT_9320_TCP": "x"}
    )
    assert (loaded.settings.scrape.interval, loaded.settings.scrape.timeout) == (7, 5)
    assert loaded.settings.data_dir == "b"


def test_environment_reaches_fields_with_an_alias(write: Writer, tmp_path: pathlib.Path) -> None:
    (tmp_path / "hook").write_text("https://hooks.example/x\n")
    loaded = config.load(
        write("alerts: {route: {receiver: a}, receivers: [{name: a}]}"),
        {"TIDEGATE_ALERTS__GLOBAL__SLACK_API_URL_FILE": "hook", "TIDEGATE_ALERTS__GLOBAL__SMTP_FROM": "a@b.example"},
    )
    secret = loaded.settings.alerts.global_.slack_api_url
    assert secret is not None
    assert secret.get_secret_value() == "https://hooks.example/x"
    assert loaded.settings.alerts.global_.smtp_from == "a@b.example"


def test_all_problems_are_found_with_places_and_hints(write: Writer) -> None:
    found = problems_of(
        write("scrape:\n  intervall: 5s\n  timeout: abc\nlogs:\n  inputs:\n    - paths: [a]\n      formt: json\n")
    )
    assert {(problem.code, problem.line, problem.column) for problem in found} == {
        ("settings-unknown-field", 2, 3),
        ("settings-wrong-value", 3, 12),
        ("settings-unknown-field", 7, 7),
    }
    assert "did you mean `interval`?" in {problem.hint for problem in found}


def test_a_misspelt_section_in_the_environment_is_refused(write: Writer) -> None:
    (problem,) = problems_of(write(""), {"TIDEGATE_SCARPE__INTERVAL": "5s"})
    assert problem.code == "settings-unknown-field"
    assert problem.hint == "did you mean `SCRAPE`?"


def test_a_secret_is_never_shown(write: Writer) -> None:
    loaded = config.load(write("logs: {elasticsearch: {api_key: hunter2}}"), {})
    assert "hunter2" not in repr(loaded.settings)
    assert "hunter2" not in loaded.settings.model_dump_json()


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "settings-secret-unreadable"), ("", "settings-secret-empty"), ("  \n", "settings-secret-empty")],
)
def test_a_secret_file_that_is_no_use_is_said_loudly(
    write: Writer, tmp_path: pathlib.Path, content: str | None, code: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_text(content)
    (problem,) = problems_of(write("logs:\n  elasticsearch:\n    password_file: secret\n"))
    assert (problem.code, problem.line) == (code, 3)


def test_a_secret_given_twice_is_refused(write: Writer, tmp_path: pathlib.Path) -> None:
    (tmp_path / "secret").write_text("x")
    (problem,) = problems_of(write("state:\n  url: a\n  url_file: secret\n"))
    assert problem.code == "settings-secret-twice"


def test_secrets_of_named_tokens_come_from_files(write: Writer, tmp_path: pathlib.Path) -> None:
    (tmp_path / "ci").write_text("t0ken\n")
    loaded = config.load(write("web:\n  tokens:\n    ci: {token_file: ci, scopes: [deploy]}\n"), {})
    assert loaded.settings.web.tokens["ci"].token.get_secret_value() == "t0ken"


def test_relative_paths_are_relative_to_the_file(write: Writer, tmp_path: pathlib.Path) -> None:
    loaded = config.load(write("data_dir: here"), {})
    assert loaded.resolve(loaded.settings.data_dir) == tmp_path / "here"
    assert loaded.resolve("/abs") == pathlib.Path("/abs")


def test_a_switch_may_be_written_yes(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "tidegate.yaml"
    path.write_text("gate: {default_environment: 'on', environments: {on: {require_targets: no}}}\n")
    found = config.load(path, {}).settings.gate.environments
    assert found["on"].require_targets is False
