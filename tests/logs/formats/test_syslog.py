"""Syslog messages to lines: the examples of the RFCs, what programs really send, and whatever bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.logs.formats import syslog

AT = "2026-01-02T03:04:05.000Z"


def read(raw: bytes, zone: str = "UTC", at: str = AT) -> tuple[str, str, str, dict[str, Any]]:
    line = syslog.parse(raw, at, zone)
    return line.message, line.time, line.level, line.extra or {}


def test_rfc_5424_example_without_structured_data() -> None:
    raw = b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed for lonvick"
    message, time, level, extra = read(raw)
    assert (message, time, level) == ("'su root' failed for lonvick", "2003-10-11T22:14:15.003Z", "critical")
    assert extra == {
        "log": {
            "syslog": {
                "priority": 34,
                "facility": {"code": 4, "name": "auth"},
                "severity": {"code": 2, "name": "critical"},
                "version": "1",
                "msgid": "ID47",
                "hostname": "mymachine.example.com",
                "appname": "su",
            }
        },
        "host": {"name": "mymachine.example.com"},
        "process": {"name": "su"},
    }


def test_rfc_5424_structured_data() -> None:
    raw = (
        b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - "
        rb'[ex@32473 iut="3" q="a\"b\\c\]d" iut="4"][other@1] an application event'
    )
    message, time, level, extra = read(raw)
    assert (message, time, level) == ("an application event", "2003-08-24T12:14:15.000003Z", "notice")
    assert extra["process"] == {"name": "myproc", "pid": 8710}
    assert extra["log"]["syslog"]["structured_data"] == {
        "ex@32473": {"iut": ["3", "4"], "q": 'a"b\\c]d'},
        "other@1": {},
    }


@pytest.mark.parametrize(
    ("raw", "message", "host", "process"),
    [
        (
            b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
            "'su root' failed",
            "mymachine",
            {"name": "su"},
        ),
        (b"<13>Feb  5 17:32:18 10.0.0.99 app[42]: text", "text", "10.0.0.99", {"name": "app", "pid": 42}),
        (b"<13>Oct 11 22:14:15 root: no host", "no host", None, {"name": "root"}),
        (b"<13>2026-01-02T03:04:05.123456+01:00 web-1 nginx[7]: GET /", "GET /", "web-1", {"name": "nginx", "pid": 7}),
        (b"<14>no time, no tag: just text\0", "no time, no tag: just text", None, None),
        (b"<14>1 is how this one begins", "1 is how this one begins", None, None),
        (b"<999>no priority", "<999>no priority", None, None),
        (b"bare text\n", "bare text", None, None),
    ],
)
def test_what_programs_send(raw: bytes, message: str, host: str | None, process: dict[str, Any] | None) -> None:
    found, _, _, extra = read(raw)
    assert found == message
    assert extra.get("host", {}).get("name") == host
    assert extra.get("process") == process


@pytest.mark.parametrize(
    ("at", "text", "zone", "time"),
    [
        ("2026-01-01T00:00:10.000Z", "Dec 31 23:59:58", "UTC", "2025-12-31T23:59:58.000Z"),
        ("2025-12-31T23:59:58.000Z", "Jan  1 00:00:03", "UTC", "2026-01-01T00:00:03.000Z"),
        ("2026-07-01T10:00:00.000Z", "Jul  1 12:00:00", "Europe/Berlin", "2026-07-01T10:00:00.000Z"),
        ("2024-02-29T10:00:00.000Z", "Feb 29 09:00:00", "UTC", "2024-02-29T09:00:00.000Z"),
        ("2026-03-01T10:00:00.000Z", "Feb 30 09:00:00", "UTC", ""),
    ],
)
def test_times_without_a_year(at: str, text: str, zone: str, time: str) -> None:
    assert read(f"<13>{text} host app: x".encode(), zone, at)[1] == time


def test_json_inside() -> None:
    line = syslog.parse(b'<14>Oct 11 22:14:15 h app: @cee: {"msg":"seq=1","level":"error","user":7}', AT, "UTC")
    assert (line.message, line.level, line.labels) == ("seq=1", "error", {"user": "7"})


@pytest.mark.parametrize("severity", range(8))
def test_every_severity_is_a_level(severity: int) -> None:
    _, _, level, extra = read(b"<%d>x" % (16 * 8 + severity))
    assert level == ("critical", "critical", "critical", "error", "warning", "notice", "info", "debug")[severity]
    assert extra["log"]["syslog"]["facility"] == {"code": 16, "name": "local0"}


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda raw: b"<13>1 - - - - - [" + raw))
def test_any_bytes_are_a_line_and_no_text_is_lost(raw: bytes) -> None:
    line = syslog.parse(raw, AT, "UTC")
    assert isinstance(line.message, str)
    if not raw.startswith(b"<") and b"{" not in raw:
        assert line.message == raw.rstrip(b"\0\r\n").decode("utf-8", "replace")


WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.", min_size=1, max_size=20)
VALUE = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)


@given(
    st.integers(0, 191),
    WORD,
    WORD,
    st.dictionaries(WORD, st.dictionaries(WORD, VALUE, max_size=3), max_size=3),
    VALUE,
)
def test_what_is_written_is_read(
    priority: int, host: str, app: str, data: dict[str, dict[str, str]], text: str
) -> None:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")

    elements = "".join(
        f"[{name}" + "".join(f' {key}="{escaped(value)}"' for key, value in pairs.items()) + "]"
        for name, pairs in data.items()
    )
    raw = f"<{priority}>1 2026-01-02T03:04:05Z {host} {app} - - {elements or '-'} seq={text}"
    message, time, _, extra = read(raw.encode())
    assert (message, time) == (f"seq={text}", "2026-01-02T03:04:05Z")
    assert extra["host"]["name"] == host
    assert extra["log"]["syslog"].get("structured_data", {}) == data
    assert extra["log"]["syslog"]["priority"] == priority
