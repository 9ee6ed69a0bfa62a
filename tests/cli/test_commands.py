"""The command line as a person or a pipeline meets it: output, exit codes, and what is said when something is wrong."""

from __future__ import annotations

import collections
import http.server
import json
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import click.testing
import pytest

import tidegate
from tidegate import cli


def run(*arguments: str, env: dict[str, str] | None = None) -> click.testing.Result:
    return click.testing.CliRunner().invoke(cli.cli, list(arguments), env=env or {})


class Peer:
    """A server that gives scripted answers and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: collections.deque[tuple[int, Any]] = collections.deque()
        self.asked: list[tuple[str, str, Any, str]] = []
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _any(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                peer.asked.append((self.command, self.path, body, self.headers.get("authorization", "")))
                status, answer = peer.answers.popleft() if len(peer.answers) > 1 else peer.answers[0]
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_DELETE = _any  # noqa: N815 - the base class' names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Silent."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def peer() -> Iterator[Peer]:
    one = Peer()
    thread = threading.Thread(target=one.server.serve_forever)
    thread.start()
    yield one
    one.server.shutdown()
    thread.join()
    one.server.server_close()


def verdict(name: str, **more: object) -> dict[str, object]:
    reasons = [
        {
            "rule": "ShopDown",
            "kind": "alert",
            "state": "firing",
            "message": "the shop is down",
            "blocking": name != "allow",
        }
    ]
    return {"verdict": name, "message": f"it is {name}", "reasons": reasons, "url": "http://t/gate", **more}


def test_version_and_help() -> None:
    assert run("--version").output == f"tidegate, version {tidegate.__version__}\n"
    shown = run("--help").output
    for name in cli.COMMANDS:
        assert f"  {name} " in shown


def test_a_mistyped_command_is_recognised() -> None:
    result = run("chek")
    assert result.exit_code == 2
    assert "Did you mean `check`?" in result.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_shell_code(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_TIDEGATE_COMPLETE" in result.output


@pytest.mark.parametrize(("name", "code"), [("allow", 0), ("deny", 1), ("unknown", 3), ("wait", 8)])
def test_the_gates_answer_is_the_exit_code(peer: Peer, name: str, code: int) -> None:
    peer.answers.append((200, verdict(name)))
    result = run("gate", "check", "--env", "production", "--service", "shop", "--version", "1.2", "--server", peer.url)
    assert result.exit_code == code
    assert f"{name}: it is {name}" in result.output
    assert "[alert] ShopDown: the shop is down" in result.output
    assert peer.asked[0][1] == "/v1/gate/production/shop?version=1.2&code=200"


def test_the_gate_speaks_json_and_github(peer: Peer, tmp_path: pathlib.Path) -> None:
    peer.answers.append((200, verdict("deny")))
    ask = ("gate", "check", "--env", "p", "--service", "s", "--server", peer.url, "--output")
    assert json.loads(run(*ask, "json").output)["verdict"] == "deny"
    summary = tmp_path / "summary"
    result = run(*ask, "github", env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert "::error title=Tidegate::" in result.output
    assert "| alert | ShopDown | the shop is down |" in summary.read_text()


def test_the_gate_that_cannot_be_reached_is_5() -> None:
    result = run("gate", "check", "--env", "p", "--service", "s", "--server", "http://127.0.0.1:1")
    assert result.exit_code == 5
    assert "cannot reach" in result.output


@pytest.mark.parametrize(("status", "code"), [(401, 4), (403, 4), (404, 2), (500, 5), (503, 5)])
def test_error_answers_have_their_own_codes(peer: Peer, status: int, code: int) -> None:
    peer.answers.append((status, {"title": "no", "detail": "because"}))
    result = run("gate", "check", "--env", "p", "--service", "s", "--server", peer.url)
    assert result.exit_code == code
    assert "because" in result.output


def test_something_else_that_answers_is_not_a_gate(peer: Peer) -> None:
    peer.answers.append((200, {"hello": "world"}))
    assert run("gate", "check", "--env", "p", "--service", "s", "--server", peer.url).exit_code == 5


def test_usage_errors_are_2() -> None:
    assert run("gate", "check", "--service", "s").exit_code == 2
    assert run("gate", "wait", "--env", "p", "--service", "s", "--timeout", "soon").exit_code == 2


def test_waiting_ends_when_the_gate_opens(peer: Peer) -> None:
    peer.answers.extend([(200, verdict("deny")), (200, verdict("allow"))])
    result = run("gate", "wait", "--env", "p", "--service", "s", "--server", peer.url, "--timeout", "30s")
    assert result.exit_code == 0
    assert [line for line in result.output.splitlines() if "it is" in line] == [
        "✘ deny: it is deny",
        "✔ allow: it is allow",
    ]


def test_waiting_gives_up_with_8_and_with_5_when_nobody_answers(peer: Peer) -> None:
    peer.answers.append((200, verdict("wait")))
    ask = ("gate", "wait", "--env", "p", "--service", "s", "--timeout", "200ms", "--server")
    assert run(*ask, peer.url).exit_code == 8
    assert run(*ask, "http://127.0.0.1:1").exit_code == 5


def test_fail_fast_takes_the_first_deny(peer: Peer) -> None:
    peer.answers.append((200, verdict("deny")))
    assert run("gate", "wait", "--env", "p", "--service", "s", "--fail-fast", "--server", peer.url).exit_code == 1


def test_a_token_comes_from_a_file_or_the_environment(peer: Peer, tmp_path: pathlib.Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    peer.answers.append((200, {"id": "1"}))
    ask = ("deploy", "--env", "p", "--service", "s", "--version", "1", "--server", peer.url)
    assert run(*ask, "--token-file", str(tmp_path / "token")).output == "recorded 1\n"
    run(*ask, env={"TIDEGATE_TOKEN": "from-env"})
    assert [asked[3] for asked in peer.asked] == ["Bearer from-file", "Bearer from-env"]
    assert run(*ask, "--token-file", str(tmp_path / "none")).exit_code == 2


def test_query_prints_series(peer: Peer) -> None:
    vector = [{"metric": {"__name__": "up", "job": "shop"}, "value": [1, "1"]}]
    peer.answers.append((200, {"status": "success", "data": {"resultType": "vector", "result": vector}}))
    assert run("query", "up", "--server", peer.url).output == 'up{job="shop"} 1\n'
    matrix = [{"metric": {"job": "shop"}, "values": [[1, "1"], [2, "3"]]}]
    peer.answers.clear()
    peer.answers.append((200, {"status": "success", "data": {"resultType": "matrix", "result": matrix}}))
    assert run("query", "up", "--range", "1m", "--server", peer.url).output == '{job="shop"}\n  1 @ 1\n  3 @ 2\n'


def test_a_bad_query_is_1_with_the_servers_words(peer: Peer) -> None:
    peer.answers.append((400, {"status": "error", "errorType": "bad_data", "error": "parse error: oh no"}))
    result = run("query", "up{", "--server", peer.url)
    assert (result.exit_code, result.output) == (1, "error: parse error: oh no\n")


def test_silences_are_made_listed_and_ended(peer: Peer) -> None:
    peer.answers.append((200, {"silenceID": "abc"}))
    made = run(
        "silence", "add", "alertname=ShopSlow", 'severity=~"warning|info"', "-m", "load test", "--server", peer.url
    )
    assert made.output == "abc\n"
    method, path, body, _ = peer.asked[0]
    assert (method, path) == ("POST", "/api/v2/silences")
    assert body["matchers"] == [
        {"name": "alertname", "value": "ShopSlow", "isRegex": False, "isEqual": True},
        {"name": "severity", "value": "warning|info", "isRegex": True, "isEqual": True},
    ]
    peer.answers.clear()
    listed = {"id": "abc", "status": {"state": "active"}, "endsAt": "T", "createdBy": "me", "comment": "c"}
    peer.answers.append((200, [{**listed, "matchers": body["matchers"]}]))
    assert 'alertname="ShopSlow" severity=~"warning|info"' in run("silence", "list", "--server", peer.url).output
    assert run("silence", "expire", "abc", "--server", peer.url).output == "abc ended\n"
    assert peer.asked[-1][:2] == ("DELETE", "/api/v2/silence/abc")


def test_a_bad_matcher_is_a_usage_error() -> None:
    assert run("silence", "add", "not a matcher", "-m", "x").exit_code == 2


def test_logs_are_printed_oldest_first(peer: Peer) -> None:
    lines = [
        {"id": "b", "at": 2.0, "level": "error", "service": "shop", "message": "second"},
        {"id": "a", "at": 1.0, "level": "", "service": "shop", "message": "first"},
    ]
    peer.answers.append((200, {"lines": lines, "total": 2, "at_least": False}))
    shown = run("logs", "level:error", "--server", peer.url).output
    assert shown.index("first") < shown.index("second")
    assert "2 of 2 lines" in shown


def _line(id_: str, at: float, **more: object) -> dict[str, object]:
    return {"id": id_, "at": at, "level": "error", "service": "shop", "source": "/x.log", "message": f"m{id_}", **more}


def test_logs_are_followed_from_before_the_search_and_printed_once(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    peer.answers += [
        (200, {"lines": [], "cursor": "5"}),
        (200, {"lines": [_line("6", 2.0), _line("4", 1.0)], "total": 2, "at_least": False}),
        (200, {"lines": [_line("6", 2.0), _line("7", 0.5)], "cursor": "7"}),
        (200, {"lines": [_line("7", 0.5)], "cursor": "7"}),
    ]

    def enough(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", enough)
    result = run("logs", "level:error", "-f", "--tz", "Europe/Berlin", "--server", peer.url)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"1970-01-01 01:00:{at}+01:00 error    shop: {text}"
        for at, text in (("01.000", "m4"), ("02.000", "m6"), ("00.500", "m7"))
    ]
    assert [path for _, path, *_ in peer.asked if "cursor=5" in path or path.startswith("/v1/logs/follow")]


def test_logs_show_what_stands_around_a_line(peer: Peer) -> None:
    def at(offset: int) -> dict[str, object]:
        return _line(str(offset), 9.0, document={"log": {"offset": offset}, "host": {"name": "h"}})

    page = {"total": 1, "at_least": False}
    peer.answers += [
        (200, {**page, "lines": [at(40)]}),
        (200, {**page, "lines": [at(50), at(40), at(10), at(60), at(30)]}),
    ]
    result = run("logs", "level:error", "-C", "1", "-o", "json", "--server", peer.url)
    assert [json.loads(line)["id"] for line in result.output.splitlines()] == ["30", "40", "50"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--tz", "Mars/Base"), "no time zone"),
        (("--since", "soon"), "not a duration"),
        (("--since", "1m", "--until", "5m"), "should not be before"),
        (("-f", "--until", "5m"), "goes with neither"),
        (("-f", "-C", "2"), "goes with neither"),
    ],
)
def test_logs_refuse_what_makes_no_sense(args: tuple[str, ...], said: str) -> None:
    result = run("logs", *args)
    assert result.exit_code == 2
    assert said in result.output


def test_check_says_every_problem_and_uses_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        "groups:\n  - name: a\n    rules:\n      - alert: A\n        expr: rate(x)\n        fro: 1m\n"
    )
    (tmp_path / "t.yaml").write_text("rules: {files: [rules.yaml, none.yaml]}\nalerts: {route: {receiver: nobody}}\n")
    result = run("check", "--config", str(tmp_path / "t.yaml"))
    assert result.exit_code == 1
    for code in ("rules-no-file", "route-"):
        assert f"error[{code}" in result.output
    assert "problems found" in result.output
    found = json.loads(run("check", "--config", str(tmp_path / "t.yaml"), "--format", "json").output)
    assert (found["ok"], found["found"]) == (False, {})
    github = run("check", "--config", str(tmp_path / "t.yaml"), "--format", "github").output
    assert "::error file=" in github


def test_check_says_what_is_good() -> None:
    root = pathlib.Path(__file__).parents[2]
    result = run("check", "--config", str(root / "examples/shop/tidegate.yaml"))
    assert result.exit_code == 0, result.output
    assert result.output.startswith("all good: ")
    assert "2 targets" in result.output


def test_setup_without_elasticsearch_is_a_usage_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "t.yaml").write_text("")
    assert run("setup", "elasticsearch", "--config", str(tmp_path / "t.yaml")).exit_code == 2


def test_setup_dry_run_prints_the_requests(tmp_path: pathlib.Path) -> None:
    (tmp_path / "t.yaml").write_text("logs: {elasticsearch: {urls: ['http://127.0.0.1:1']}}")
    result = run("setup", "elasticsearch", "--config", str(tmp_path / "t.yaml"), "--dry-run")
    assert result.exit_code == 0
    assert "PUT /_index_template/" in result.output


HEAVY = ("aiohttp", "apscheduler", "dns", "elastic_transport", "elasticsearch", "httpx2", "jinja2", "sqlalchemy")
SERVER = ("tidegate.app", "tidegate.agent", "tidegate.scrape", "tidegate.api", "starlette", "uvicorn")


def test_check_loads_no_heavy_client_and_no_server(tmp_path: pathlib.Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "scrape: {jobs: [{job_name: a, dns_sd_configs: [{names: [b]}], http_sd_configs: [{url: 'http://c/d'}]}]}\n"
    )
    program = (
        "import sys\nfrom tidegate import cli\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print('loaded', *sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "check", "-c", str(tmp_path / "t.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = next(line for line in done.stderr.splitlines() if line.startswith("loaded ")).split()
    assert "tidegate.plan" in loaded
    assert [name for name in (*HEAVY, *SERVER) if name in loaded] == []
