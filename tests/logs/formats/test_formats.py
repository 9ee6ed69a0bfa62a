"""Each line format: what it takes, what it makes of it, and that no bytes upset it."""

from __future__ import annotations

import datetime
import string

import hypothesis
import orjson
import pytest
from hypothesis import strategies as st

from tidegate.logs.ecs import encode
from tidegate.logs.formats import auto, base, choice, cri, docker, json, levels, logfmt, plain, times
from tidegate.model import settings


@pytest.mark.parametrize(
    ("text", "wanted", "zoned"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", True),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456789Z", True),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05.000Z", True),
        ("2026-01-02T03:04:05.123456-0530", "2026-01-02T08:34:05.123456Z", True),
        ("2026-01-02 03:04:05,123", "2026-01-02T03:04:05.123Z", False),
        ("2026/01/02 03:04:05", "2026-01-02T03:04:05.000Z", False),
        ("2026-01-02 03:04:05 UTC", "2026-01-02T03:04:05.000Z", True),
        ("2026-01-02 03:04:05 +0100", "2026-01-02T02:04:05.000Z", True),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z", True),
        ("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36.000Z", True),
    ],
)
def test_times(text: str, wanted: str, *, zoned: bool) -> None:
    assert times.iso(text) == (wanted, zoned)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "2026-01-02", "٢٠٢٦-٠١-٠٢T٠٣:٠٤:٠٥Z", "x" * 100],
)
def test_what_is_no_time(text: str) -> None:
    assert times.iso(text) is None


def test_epochs_by_size() -> None:
    wanted = "2023-11-14T22:13:20.000Z"
    assert {times.epoch(1_700_000_000 * unit) for unit in (1, 10**3, 10**6, 10**9)} == {wanted}
    assert times.epoch(-1) is None
    assert times.epoch(float("nan")) is None


@hypothesis.given(
    st.datetimes(min_value=datetime.datetime.fromisoformat("1970-01-01")), st.sampled_from(["Z", "+02:00", "-11:30"])
)
def test_times_agree_with_datetime(moment: datetime.datetime, zone: str) -> None:
    hypothesis.assume(moment.year < 9999)
    text = moment.isoformat() + zone
    found = times.iso(text)
    assert found is not None
    wanted = datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    assert datetime.datetime.fromisoformat(found[0]) == wanted
    assert found[0].endswith("Z")


def test_levels() -> None:
    words = ["WARN", "Warning", "ERR", "fatal", "SEVERE", "I", "notice", "finest"]
    wanted = ["warning", "warning", "error", "critical", "error", "info", "notice", "trace"]
    assert [levels.word(word) for word in words] == wanted
    assert levels.value(50) == "error"
    assert levels.value(True) == ""
    assert levels.word("audit") == "audit"
    assert levels.word("5xx!") == ""


def test_cri() -> None:
    found = cri.split(b"2026-01-02T03:04:05.123456789Z stderr P part of it")
    assert found == base.Wrapped("2026-01-02T03:04:05.123456789Z", "stderr", True, b"part of it")
    assert cri.split(b"2026-01-02T03:04:05+01:00 stdout F:tag a  b ") == base.Wrapped(
        "2026-01-02T02:04:05.000Z", "stdout", False, b"a  b "
    )
    assert cri.split(b"2026-01-02T03:04:05Z stdout F") == base.Wrapped("2026-01-02T03:04:05Z", "stdout", False, b"")


@pytest.mark.parametrize(
    "raw", [b"", b"hello", b"2026-01-02T03:04:05Z stdout X a", b"2026-01-02T03:04:05Z stdlog F a", b"2026 stdout F a"]
)
def test_what_is_not_cri(raw: bytes) -> None:
    assert cri.split(raw) is None


def test_docker() -> None:
    raw = orjson.dumps({"log": "hi\r\n", "stream": "stdout", "time": "2026-01-02T03:04:05.1Z"})
    assert docker.split(raw) == base.Wrapped("2026-01-02T03:04:05.1Z", "stdout", False, b"hi")
    part = orjson.dumps({"log": "hi", "stream": "stderr", "time": "x", "attrs": {"a": "b"}})
    assert docker.split(part) == base.Wrapped("", "stderr", True, b"hi")
    assert docker.split(b'{"log":"x","stream":"stdout","level":"info"}') is None


def test_json_vocabularies() -> None:
    pino = json.parse(
        b'{"level":50,"time":1700000000000,"msg":"m","err":{"type":"E","message":"x","stack":"E: x\\n at"}}'
    )
    assert pino is not None
    assert (pino.level, pino.time, pino.message) == ("error", "2023-11-14T22:13:20.000Z", "m")
    assert pino.fields == {"error.type": "E", "error.message": "x", "error.stack_trace": "E: x\n at"}
    ecs = json.parse(
        b'{"@timestamp":"2026-01-02T03:04:05Z","log.level":"WARN","message":"m","ecs.version":"1.6.0","service.name":"s",'
        b'"trace":{"id":"t"},"log":{"logger":"a.B","origin":{"file":{"line":5}}}}'
    )
    assert ecs is not None
    assert (ecs.level, ecs.fields) == ("warning", {"service.name": "s", "trace.id": "t", "log.logger": "a.B"})
    assert (ecs.labels, ecs.known) == (None, {"log.origin.file.line": 5})
    structlog = json.parse(b'{"event":"started","level":"info","timestamp":"2026-01-02T03:04:05Z","n":1.5,"ok":true}')
    assert structlog is not None
    assert (structlog.message, structlog.labels) == ("started", {"n": "1.5", "ok": "true"})


def test_json_keeps_everything_it_cannot_place() -> None:
    line = json.parse(
        b'{"msg":"m","event":"e","level":"x!","time":"noon","a.b":1,"a":{"b":2},"l":[1,{"c":null}],"none":null,"err":{"q":1}}'
    )
    assert line is not None
    assert (line.message, line.level, line.time) == ("m", "", "")
    assert line.labels == {
        "event": "e",
        "level": "x!",
        "time": "noon",
        "a_b": "1",
        "a_b_": "2",
        "l": '[1,{"c":null}]',
        "err_q": "1",
    }


def test_json_without_a_message_keeps_the_line() -> None:
    line = json.parse(b'{"a":1}')
    assert line is not None
    assert line.message == '{"a":1}'


def test_logfmt() -> None:
    line = logfmt.parse(b'ts=2026-01-02T03:04:05Z level=info msg="say \\"hi\\"\\n" path=/a=b code=200 empty=')
    assert line is not None
    assert (line.time, line.level, line.message) == ("2026-01-02T03:04:05Z", "info", 'say "hi"\n')
    assert line.labels == {"path": "/a=b", "code": "200", "empty": ""}


@pytest.mark.parametrize(
    "raw",
    [
        b"a=b",
        b"a=b c=d",
        b"level=info and text",
        b'level=info msg="open',
        b"hello level=info msg=x",
        b"level=a level=b",
    ],
)
def test_what_is_not_logfmt(raw: bytes) -> None:
    assert logfmt.parse(raw) is None


@pytest.mark.parametrize(
    ("raw", "level", "time"),
    [
        (b"2026-01-02T03:04:05Z ERROR worker: x", "error", "2026-01-02T03:04:05Z"),
        (b"[2026-01-02 03:04:05,5] WARN x", "warning", "2026-01-02T03:04:05.500Z"),
        (b"2026-01-02 03:04:05.123 [main] INFO  a.B - x", "info", "2026-01-02T03:04:05.123Z"),
        (b"I0102 03:04:05.000000       1 main.go:12] x", "info", ""),
        (b'Exception in thread "main" a.B: x', "error", ""),
        (b"panic: boom", "critical", ""),
        (b"information about errors", "", ""),
        (b"no-error here", "", ""),
    ],
)
def test_plain(raw: bytes, level: str, time: str) -> None:
    line = plain.parse(raw)
    assert (line.message, line.level, line.time) == (raw.decode(), level, time)


@hypothesis.given(st.binary(max_size=300))
def test_no_bytes_upset_any_format(raw: bytes) -> None:
    encoder = encode.Encoder(encode.Static.of(settings.LogInput(paths=("x",)), "/x", "h"))
    for name in ("auto", "cri", "docker", "json", "logfmt", "plain"):
        chosen = choice.of(settings.LogInput(paths=("x",), format=name))
        if chosen.split is not None:
            chosen.split(raw)
        body = encoder.body(chosen.parse(raw), 0)
        assert b"\n" not in body
        assert orjson.loads(body)["log"]["offset"] == 0


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["msg", "level", "time", "error", "service", "log", "trace", "a", "a.b", "event"]) | st.text(
    max_size=5
)


@hypothesis.given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_json_of_any_shape_makes_flat_text_labels(value: dict[str, object]) -> None:
    line = auto.parse(orjson.dumps(value))
    assert line.structured
    assert isinstance(line.message, str)
    for name, text in (line.labels or {}).items():
        assert isinstance(text, str)
        assert "." not in name
    for text in (line.fields or {}).values():
        assert isinstance(text, str)


@hypothesis.given(
    st.dictionaries(st.text(string.ascii_lowercase, min_size=1), st.text(string.printable), max_size=5),
    st.text(max_size=20),
)
def test_logfmt_round_trip(pairs: dict[str, str], message: str) -> None:
    hypothesis.assume(json._ROLES.keys().isdisjoint(pairs))

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'

    everything = {"msg": message, "level": "info", **pairs}
    raw = " ".join(f"{key}={quoted(text)}" for key, text in everything.items()).encode()
    line = logfmt.parse(raw)
    assert line is not None
    assert line.message == message
    assert (line.labels or {}) == pairs


def test_document_is_complete() -> None:
    path = "/var/log/containers/web-1_shop_web-" + "a" * 64 + ".log"
    given = settings.LogInput(
        paths=("x",),
        dataset="shop",
        namespace="prod",
        environment="production",
        version="1.2",
        labels={"team.name": "t"},
    )
    encoder = encode.Encoder(encode.Static.of(given, path, "node-1"))
    encoder.created("2026-01-02T03:04:06.000Z")
    line = base.Line("hi", "2026-01-02T03:04:05Z", True, "info", fields={"trace.id": "t", "service.version": "9"})
    line.labels = {"a": "1"}
    assert orjson.loads(encoder.body(line, 17, truncated=True, stream="stderr")) == {
        "@timestamp": "2026-01-02T03:04:05Z",
        "message": "hi",
        "log": {
            "offset": 17,
            "level": "info",
            "file": {"path": path},
            "flags": ["truncated"],
            "iostream": "stderr",
        },
        "service": {"name": "web", "version": "9", "environment": "production"},
        "trace": {"id": "t"},
        "labels": {"a": "1", "team_name": "t"},
        "event": {"dataset": "shop", "created": "2026-01-02T03:04:06.000Z"},
        "host": {"name": "node-1"},
        "data_stream": {"type": "logs", "dataset": "shop", "namespace": "prod"},
        "ecs": {"version": encode.ECS_VERSION},
        "container": {"name": "web", "id": "a" * 64},
        "kubernetes": {"pod": {"name": "web-1"}, "namespace": "shop", "container": {"name": "web"}},
    }


def test_paths_of_containers() -> None:
    pods = encode.container_of("/var/log/pods/shop_web-1_0-1-2/web/3.log")
    assert pods["kubernetes"] == {
        "pod": {"name": "web-1", "uid": "0-1-2"},
        "namespace": "shop",
        "container": {"name": "web"},
    }
    docker_path = f"/var/lib/docker/containers/{'b' * 64}/{'b' * 64}-json.log"
    assert encode.container_of(docker_path) == {"container": {"id": "b" * 64}}
    assert encode.container_of("/var/log/app.log") == {}


def test_a_label_too_long_for_an_index_is_cut() -> None:
    line = base.Line("m", labels={"a": "x" * 28_000, "b": "漢" * 10_000, "c": "y" * 28_001})
    assert base.shorten(line)
    assert {name: len(text.encode()) for name, text in (line.labels or {}).items()} == {
        "a": 28_000,
        "b": 27_999,
        "c": 28_000,
    }
    assert not base.shorten(line)
