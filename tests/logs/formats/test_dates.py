"""Times as people and programs write them: what is read, what is refused because it could be two times."""

from __future__ import annotations

import datetime
import pathlib

import hypothesis
import orjson
import pytest
from hypothesis import strategies as st

from tidegate.logs.formats import times
from tidegate.logs.read import source
from tidegate.model import settings

NOON = 1_767_355_200.0
"""2026-01-02T12:00:00Z"""


@pytest.mark.parametrize(
    ("text", "wanted", "zoned"),
    [
        ("Fri, 02 Jan 2026 03:04:05 +0100", "2026-01-02T02:04:05.000Z", True),
        ("Fri, 2 Jan 2026 03:04:05 GMT", "2026-01-02T03:04:05.000Z", True),
        ("02 Jan 2026 03:04:05 EST", "2026-01-02T08:04:05.000Z", True),
        ("2-Jan-2026 03:04:05.25", "2026-01-02T03:04:05.250Z", False),
        ("Jan 2, 2026 3:04:05 PM", "2026-01-02T15:04:05.000Z", False),
        ("January 2, 2026 at 12:04 am UTC", "2026-01-02T00:04:00.000Z", True),
        ("2026-01-02 12:04:05 PM", "2026-01-02T12:04:05.000Z", False),
        ("2026-1-2 3:04:05", "2026-01-02T03:04:05.000Z", False),
        ("2026 Jan 02 03:04:05", "2026-01-02T03:04:05.000Z", False),
        ("Fri Jan  2 03:04:05 2026", "2026-01-02T03:04:05.000Z", False),
        ("Fri Jan 02 03:04:05 CET 2026", "2026-01-02T02:04:05.000Z", True),
        ("Fri Jan 02 03:04:05.123456 2026", "2026-01-02T03:04:05.123456Z", False),
        ("02.01.2026 03:04:05", "2026-01-02T03:04:05.000Z", False),
        ("2026-01-02 03:04:05 CEST", "2026-01-02T01:04:05.000Z", True),
        ("2026-01-02T03:04:05+01:00[Europe/Berlin]", "2026-01-02T02:04:05.000Z", True),
        ("2026-01-02 03:04:05 GMT-3", None, False),
        ("20260102T030405Z", "2026-01-02T03:04:05.000Z", True),
        ("Jan  2 03:04:05", "0004-01-02T03:04:05.000Z", False),
        ("Feb 29 03:04:05", "0004-02-29T03:04:05.000Z", False),
        ("01/02/2026 03:04:05", None, False),
        ("Fri Jan 02 03:04:05 IST 2026", None, False),
        ("2026-01-02 03:04:05 CST", None, False),
        ("2026-02-30 03:04:05", None, False),
        ("13:04 PM Jan 2 2026", None, False),
        ("Jan 2 2026 13:04:05 PM", None, False),
        ("Foo 2 2026 13:04:05", None, False),
    ],
)
def test_forms(text: str, wanted: str | None, *, zoned: bool) -> None:
    assert times.iso(text) == (None if wanted is None else (wanted, zoned))


FORMATS = [
    "%a, %d %b %Y %H:%M:%S +0000",
    "%d/%b/%Y:%H:%M:%S +0000",
    "%b %d, %Y %I:%M:%S %p UTC",
    "%a %b %d %H:%M:%S UTC %Y",
    "%d.%m.%Y %H:%M:%S UTC",
    "%A, %d-%b-%Y %H:%M:%S GMT",
    "%B %d %Y %H:%M:%S Z",
]


@hypothesis.given(
    st.datetimes(min_value=datetime.datetime(1970, 1, 1), max_value=datetime.datetime(2100, 1, 1)),  # noqa: DTZ001
    st.sampled_from(FORMATS),
)
def test_what_strftime_writes_is_read_back(moment: datetime.datetime, form: str) -> None:
    moment = moment.replace(microsecond=0)
    found = times.iso(moment.strftime(form))
    assert found is not None
    assert (datetime.datetime.fromisoformat(found[0]).replace(tzinfo=None), found[1]) == (moment, True)


@hypothesis.given(st.text("0123456789 -/:.,TZ+APMJanFebUTC[]()", max_size=40))
def test_no_text_upsets_times(text: str) -> None:
    found = times.iso(text)
    if found is not None:
        datetime.datetime.fromisoformat(found[0])


@hypothesis.given(
    st.datetimes(min_value=datetime.datetime(1999, 1, 1), max_value=datetime.datetime(2090, 1, 1)),  # noqa: DTZ001
    st.timedeltas(datetime.timedelta(0), datetime.timedelta(days=300)),
)
def test_a_time_without_a_year_is_of_the_last_such_day(moment: datetime.datetime, ago: datetime.timedelta) -> None:
    moment = moment.replace(microsecond=0)
    hypothesis.assume((moment.month, moment.day) != (2, 29))
    found = times.iso(moment.strftime("%b %d %H:%M:%S"))
    assert found is not None
    now = (moment + ago).replace(tzinfo=datetime.UTC).isoformat()
    settled = times.settle(found[0], datetime.UTC, now)
    assert datetime.datetime.fromisoformat(settled).replace(tzinfo=None) == moment


def read(tmp_path: pathlib.Path, text: str, **given: object) -> tuple[source.Chunk, list[str]]:
    path = tmp_path / "a.log"
    path.write_text(text + "\n")
    stat = path.stat()
    input_ = settings.LogInput.model_validate({"paths": ["x"], **given})
    made = source.Source(str(path), (stat.st_dev, stat.st_ino), input_, host="h", longest=10_000)
    chunk = made.step(NOON, final=True)
    made.tail.close()
    return chunk, [orjson.loads(body)["@timestamp"] for body in chunk.bodies]


def test_the_zone_of_an_input_is_for_times_without_one(tmp_path: pathlib.Path) -> None:
    lines = [
        "2026-07-02 03:04:05 INFO summer",
        "2026-01-02 03:04:05 INFO winter",
        "2026-01-02T03:04:05Z INFO said",
        "Dec 31 23:30:00 web-1 app: last year",
        '{"time":"2026-01-02T03:04:05","msg":"json"}',
        "2026-01-02T03:04:06Z stdout F 2026-01-02 04:04:05 INFO the container's time is not needed",
    ]
    _, found = read(tmp_path, "\n".join(lines), timezone="Europe/Berlin")
    assert found == [
        "2026-07-02T01:04:05.000Z",
        "2026-01-02T02:04:05.000Z",
        "2026-01-02T03:04:05Z",
        "2025-12-31T22:30:00.000Z",
        "2026-01-02T02:04:05.000Z",
        "2026-01-02T03:04:05.000Z",
    ]


def test_a_time_that_nobody_can_read_is_the_time_of_reading_and_counted(tmp_path: pathlib.Path) -> None:
    lines = [
        '{"time":"01/02/2026 03:04","msg":"a"}',
        '{"msg":"no time"}',
        '{"time":"x","ts":"2026-01-02T03:04:05Z"}',
        "2026-01-02T03:04:06Z stdout F " + '{"time":"x","msg":"wrapped"}',
    ]
    chunk, found = read(tmp_path, "\n".join(lines))
    assert found == [
        "2026-01-02T12:00:00.000Z",
        "2026-01-02T12:00:00.000Z",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:06Z",
    ]
    assert chunk.untimed == 1
    assert orjson.loads(chunk.bodies[0])["labels"] == {"time": "01/02/2026 03:04"}


def test_what_the_format_does_not_take_is_counted(tmp_path: pathlib.Path) -> None:
    chunk, _ = read(tmp_path, 'words\n{"msg":"x"}\nmore', format="json")
    assert (len(chunk.ids), chunk.unparsed) == (3, 2)
