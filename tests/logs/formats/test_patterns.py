"""Access logs, patterns and pairs: what each makes of a line, and what is said of a pattern that cannot be used."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from tidegate.logs.formats import access, choice, grok, pairs, pattern
from tidegate.model import problems, settings

COMBINED = (
    b'192.0.2.7 - ann [10/Oct/2026:13:55:36 -0700] "GET /a/b?q=1&r=%20 HTTP/1.1" 200 2326 '
    b'"https://shop.example/" "Mozilla/5.0 (\\"x\\")"'
)


def test_combined() -> None:
    line = access.parse(COMBINED)
    assert line is not None
    assert (line.time, line.zoned, line.message) == ("2026-10-10T20:55:36.000Z", True, COMBINED.decode())
    assert line.known == {
        "source.address": "192.0.2.7",
        "source.ip": "192.0.2.7",
        "user.name": "ann",
        "http.request.method": "GET",
        "url.original": "/a/b?q=1&r=%20",
        "url.path": "/a/b",
        "url.query": "q=1&r=%20",
        "http.version": "1.1",
        "http.response.status_code": 200,
        "http.response.body.bytes": 2326,
        "http.request.referrer": "https://shop.example/",
        "user_agent.original": 'Mozilla/5.0 ("x")',
    }
    assert line.labels is None


def test_common_with_a_virtual_host_and_more_behind() -> None:
    raw = (
        b'shop.example:8443 web-1.internal - - [10/Oct/2026:13:55:36 +0000] "\\x16\\x03" 400 - "-" "-" 0.003 "10.0.0.1"'
    )
    line = access.parse(raw)
    assert line is not None
    assert line.known == {
        "source.address": "web-1.internal",
        "url.domain": "shop.example",
        "url.port": 8443,
        "url.original": "\x16\x03",
        "http.response.status_code": 400,
    }
    assert line.labels == {"rest": '0.003 "10.0.0.1"'}
    common = access.parse(b'::1 - - [10/Oct/2026:13:55:36 +0000] "OPTIONS * HTTP/2" 204 0')
    assert common is not None
    assert common.known is not None
    assert common.known["source.ip"] == "::1"
    assert "url.path" not in common.known


def test_an_access_time_that_cannot_be_is_told() -> None:
    line = access.parse(b'h - - [32/Oct/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 1')
    assert line is not None
    assert (line.time, line.untimed) == ("", True)


@hypothesis.given(st.binary(max_size=200))
def test_no_bytes_upset_access(raw: bytes) -> None:
    access.parse(raw)
    access.parse(COMBINED[:60] + raw)


def test_regex_fills_fields_and_labels() -> None:
    parse = pattern.parser(
        "regex",
        r"(?P<timestamp>\S+ \S+) (?P<level>[A-Z]+) (?P<source_ip>\S+) (?P<http_response_status_code>\S+) "
        r"(?P<cart>\S+) (?P<message>.*)",
        {},
    )
    line = parse(b"2026-01-02 03:04:05,123 WARN 192.0.2.1 503 c-9 slow answer")
    assert line is not None
    assert (line.time, line.zoned, line.level, line.message) == (
        "2026-01-02T03:04:05.123Z",
        False,
        "warning",
        "slow answer",
    )
    assert line.known == {"source.ip": "192.0.2.1", "http.response.status_code": 503}
    assert line.labels == {"cart": "c-9"}
    odd = parse(b"2026-01-02 03:04:05,123 WARN nowhere many c-9 x")
    assert odd is not None
    assert odd.known is None
    assert odd.labels == {"source_ip": "nowhere", "http_response_status_code": "many", "cart": "c-9"}
    assert parse(b"something else") is None


def test_grok() -> None:
    own = {"CART": r"c-\d+"}
    text = (
        r"%{TIMESTAMP_ISO8601:timestamp} \[%{LOGLEVEL:log.level}\] %{IP:[source][ip]} %{CART:cart} "
        r"%{NUMBER:took:float}ms (?<rest>.*)"
    )
    line = pattern.parser("grok", text, own)(b"2026-01-02T03:04:05.5Z [ERROR] 2001:db8::1 c-77 12.5ms and more")
    assert line is not None
    assert (line.time, line.level) == ("2026-01-02T03:04:05.5Z", "error")
    assert line.known == {"source.ip": "2001:db8::1"}
    assert line.labels == {"cart": "c-77", "took": "12.5", "rest": "and more"}


def test_grok_reads_whole_lines_of_servers() -> None:
    line = pattern.parser("grok", "%{COMBINEDAPACHELOG}", {})(COMBINED)
    assert line is not None
    assert line.known is not None
    ours = access.parse(COMBINED)
    assert ours is not None
    shared = ("source.address", "user.name", "http.request.method", "url.original", "http.response.status_code")
    assert {name: line.known[name] for name in shared} == {name: (ours.known or {})[name] for name in shared}
    syslog = pattern.parser("grok", "%{SYSLOGLINE}", {})(b"Jan  2 03:04:05 web-1 nginx[77]: hello: there")
    assert syslog is not None
    assert syslog.message == "hello: there"
    assert syslog.known == {"log.syslog.hostname": "web-1", "process.name": "nginx", "process.pid": 77}
    assert syslog.time == "0004-01-02T03:04:05.000Z"


@pytest.mark.parametrize("name", sorted(grok.TABLE))
def test_every_grok_pattern_is_re2(name: str) -> None:
    pattern.compile_(grok.expand(f"%{{{name}:x}}", {}, []))


@pytest.mark.parametrize(
    ("name", "takes", "refuses"),
    [
        ("IPV4", "192.0.2.255", "192.0.2.256"),
        ("IPV6", "2001:db8::8a2e:370:7334", "2001"),
        ("UUID", "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b"),
        ("MAC", "00:1b:44:11:3a:b7", "00:1b:44:11:3a"),
        ("EMAILADDRESS", "ann@shop.example", "ann@"),
        ("URI", "https://ann@shop.example:8443/a?b=c", "/a?b=c"),
        ("HTTPDATE", "10/Oct/2026:13:55:36 -0700", "10/10/2026"),
        ("SYSLOGTIMESTAMP", "Jan  2 03:04:05", "2 Jan"),
        ("QS", '"say \\"hi\\""', "say"),
        ("LOGLEVEL", "WARNING", "loud"),
        ("BASE10NUM", "-12.5", "x"),
        ("WINPATH", "C:\\a\\b", "a/b"),
        ("JAVACLASS", "a.b.C$D", "9"),
    ],
)
def test_grok_patterns(name: str, takes: str, refuses: str) -> None:
    compiled = pattern.compile_(grok.expand(f"%{{{name}}}", {}, []))
    assert compiled.fullmatch(takes)
    assert not compiled.fullmatch(refuses)


@pytest.mark.parametrize(
    ("kind", "text", "own", "reason", "position"),
    [
        ("grok", "a %{NOSUCH:x}", {}, "there is no grok pattern 'NOSUCH'", 2),
        ("grok", "%{WORD:x", {}, "is not %{NAME}", 0),
        ("grok", "x %{A:y}", {"A": "%{B}", "B": "%{A}"}, "made of itself", 2),
        ("grok", "%{WORD:x} (?=y)", {}, "not an RE2 pattern", -1),
        ("regex", r"(?P<a>x)\1", {}, "not an RE2 pattern", 8),
        ("regex", "x+", {}, "at least one named group", 0),
        ("regex", "", {}, "needs a `pattern`", 0),
    ],
)
def test_patterns_that_cannot_be_used(kind: str, text: str, own: dict[str, str], reason: str, position: int) -> None:
    with pytest.raises(problems.QueryError, match=reason.replace("(", r"\(").replace("{", r"\{")) as caught:
        pattern.parser(kind, text, own)
    if position >= 0:
        assert caught.value.position == position


def test_pairs() -> None:
    parse = pairs.parser("; ", ": ")
    line = parse(b'level: WARN; user: ann lee; path: "/a; b"; message: slow')
    assert line is not None
    assert (line.level, line.message) == ("warning", "slow")
    assert line.labels == {"user": "ann lee", "path": "/a; b"}
    assert pairs.split("a=1  b=2 a=3", " ", "=") == {"a": "1", "b": "2", "a_": "3"}
    for text in ("words only", "a=1 word b=2", 'a="open', 'a="x"y', "=1"):
        assert pairs.split(text, " ", "=") is None


@hypothesis.given(
    st.dictionaries(st.text("abc_.", min_size=1), st.text(min_size=1, max_size=8), min_size=1, max_size=5),
    st.sampled_from([(" ", "="), ("|", ":"), ("; ", " -> "), (",", "=")]),
)
def test_pairs_round_trip(given: dict[str, str], separators: tuple[str, str]) -> None:
    between, assigns = separators

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = between.join(f"{name}{assigns}{quoted(value)}" for name, value in given.items())
    assert pairs.split(text, between, assigns) == given


@hypothesis.given(st.text(max_size=80), st.text(min_size=1, max_size=2), st.text(min_size=1, max_size=2))
def test_no_text_upsets_pairs(text: str, between: str, assigns: str) -> None:
    pairs.split(text, between, assigns)


def test_a_line_that_the_format_does_not_take_is_text_and_counted() -> None:
    for name in ("json", "logfmt", "access", "key_value"):
        chosen = choice.of(settings.LogInput.model_validate({"paths": ["x"], "format": name}))
        assert chosen.parse(b"2026-01-02T03:04:05Z ERROR just words").message == "2026-01-02T03:04:05Z ERROR just words"
        assert chosen.unparsed == 1
    assert choice.of(settings.LogInput(paths=("x",))).parse(b"words").message == "words"


def test_a_zone_that_is_none() -> None:
    with pytest.raises(problems.QueryError, match="no time zone 'Mars/Base'"):
        choice.of(settings.LogInput(paths=("x",), timezone="Mars/Base"))
