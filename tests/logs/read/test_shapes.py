"""What a learned shape gives is byte for byte what parsing and encoding give, whatever the lines say."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.logs.ecs import types
from tidegate.logs.formats import json as json_
from tidegate.logs.read import shapes, source
from tidegate.model import settings as settings_

HEAD = "2026-01-02T03:04:05.123456789Z stdout F "
POD = "/var/log/containers/web-1_shop_web-" + "a" * 64 + ".log"


@dataclasses.dataclass
class Given:
    """What a file gave."""

    ids: list[str]
    bodies: list[bytes]
    counts: tuple[int, ...]
    hits: int


def ship(path: pathlib.Path, lines: Sequence[bytes], *, shaped: bool, **options: Any) -> Given:
    """Read a file in two steps at two times, with shapes learned at once or never."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    stat = path.stat()
    input_ = settings_.LogInput(paths=("*.log",), **options)
    made = source.Source(POD, (stat.st_dev, stat.st_ino), input_, host="node", longest=4096)
    made.tail.path = str(path)
    if not shaped:
        made._shapes = None
    first = made.step(1_767_323_045.0)
    with path.open("ab") as file:
        file.writelines(line + b"\n" for line in lines)
    chunks = [first, made.step(1_767_323_046.5), made.step(1_767_323_099.0, final=True)]
    made.tail.close()
    counts = [sum(getattr(chunk, name) for chunk in chunks) for name in ("lines", "cut", "unparsed", "untimed")]
    hits = made._shapes._hits if made._shapes else 0
    return Given([i for c in chunks for i in c.ids], [b for c in chunks for b in c.bodies], tuple(counts), hits)


@pytest.fixture(autouse=True)
def _learn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "PATIENCE", 0)


def same(path: pathlib.Path, lines: Sequence[bytes], **options: Any) -> int:
    """Both ways give the same; how many lines a shape took."""
    long, short = (ship(path, lines, shaped=shaped, **options) for shaped in (False, True))
    assert short.ids == long.ids
    assert short.bodies == long.bodies
    assert short.counts == long.counts
    return short.hits


KEYS = st.one_of(
    st.sampled_from(sorted(json_._ROLES)),
    st.sampled_from(sorted(types.free())),
    st.sampled_from(["path", "code", "user.id", "a.b", "", "é", "x" * 300, "duration_ms", "zq000shape"]),
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", "info", "WARN", "served", 'a "b" \\ c', "a\nb", "\t", "é世", "200", "50%", "%s", "\x7f", "\0", "\b"]
    ),
    st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02 03:04:05", "1767323045", "10.0.0.1", "true", "zq001shape"]),
    st.text(max_size=8),
)
SCALARS = st.one_of(
    TEXTS,
    st.integers(-(10**19), 10**19),
    st.integers(0, 60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.5, 1.0, 0.25, 12.0001, -3.75, 1e-7, 1e30]),
    st.booleans(),
    st.none(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.dictionaries(KEYS, inner, max_size=3), st.lists(inner, max_size=2)),
    max_leaves=4,
)
OBJECTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=6)
FORMS = st.sampled_from([(",", ":", True), (", ", ": ", True), (",", ":", False), (", ", ": ", False)])


@st.composite
def alike(draw: st.DrawFn) -> list[bytes]:
    """Lines of one writer: the same keys, other values, now and then something else."""
    first = draw(OBJECTS)
    comma, colon, escape = draw(FORMS)
    head = draw(st.sampled_from([HEAD, HEAD, HEAD.replace("stdout", "stderr"), HEAD.replace(" F ", " P "), ""]))
    lines = []
    for _ in range(draw(st.integers(2, 6))):
        other = {key: draw(st.one_of(st.just(value), _like(value), VALUES)) for key, value in first.items()}
        text = json.dumps(other, separators=(comma, colon), ensure_ascii=escape)
        lines.append(
            (head + text).encode("utf-8", "surrogatepass") + draw(st.sampled_from([b"", b"", b"", b"\r", b" "]))
        )
        if draw(st.integers(0, 9)) == 0:
            lines.append(
                draw(
                    st.sampled_from([b"Traceback (most recent call last):", b"  at x", b"", b'{"log":"x"}', b"\xff{}"])
                )
            )
    return lines


def _like(value: Any) -> st.SearchStrategy[Any]:
    """Another value of the same kind."""
    if isinstance(value, dict):
        return st.fixed_dictionaries({key: _like(inner) for key, inner in value.items()})
    for kind, values in ((bool, st.booleans()), (int, st.integers(0, 10**6)), (str, TEXTS)):
        if isinstance(value, kind):
            return values
    return st.just(value)


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(lines=alike(), format_=st.sampled_from(["auto", "cri", "json"]), zone=st.sampled_from(["", "Europe/Berlin"]))
def test_a_shape_gives_what_the_long_way_gives(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], format_: str, zone: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "shapes.log"
    same(path, lines, format=format_, timezone=zone, service="shop", labels={"team": "a", "zq002shape": "50%"})


def line(number: int, **more: Any) -> bytes:
    """A line as applications write them."""
    value: dict[str, Any] = {
        "level": "info",
        "msg": f"request {number} served",
        "logger": "shop.web",
        "trace_id": f"{number:032x}",
    }
    value = {**value, "path": f"/cart/{number}", "code": 200 + number, **more}
    return (HEAD + json.dumps(value, ensure_ascii=False)).encode()


def test_lines_alike_take_the_short_way(tmp_path: pathlib.Path) -> None:
    lines = [line(number) for number in range(50)]
    assert same(tmp_path / "app.log", lines) == 99  # all but the one that was learned from


@pytest.mark.parametrize(
    "more",
    [
        {"msg": 'a "quoted" text\nof two lines with \\ and \t'},
        {"msg": "世界 é 50 % %s %(x)s"},
        {"took": 0.25, "done": True, "cause": None, "context": {"user": {"id": "7"}, "cart": 12}},
        {"time": "2026-03-04T05:06:07.5Z"},
        {"error": "broken", "stack": "a\nb"},
        {"err": {"type": "E", "message": "m", "stack": "s t"}},
        {"http.request.method": "GET", "http.response.status_code": 200},
        {"http": {"response": {"status_code": 200}}, "url": {"path": "/a"}},
        {"ecs.version": "1.2.0", "service": {"name": "x", "version": "2"}},
    ],
)
def test_these_have_a_shape(tmp_path: pathlib.Path, more: dict[str, Any]) -> None:
    assert same(tmp_path / "app.log", [line(number, **more) for number in range(10)]) == 19


@pytest.mark.parametrize(
    "more",
    [
        {"tags": ["a", "b"]},
        {"time": 1767323045},
        {"time": "2026-01-02 03:04:05"},
        {"source.ip": "10.0.0.1"},
        {"msg": "\x1b[31mred"},
        {"took": 1e-9},
        {"n": 10**30},
        {"http.response.status_code": "200"},
    ],
)
def test_these_go_the_long_way(tmp_path: pathlib.Path, more: dict[str, Any]) -> None:
    assert same(tmp_path / "app.log", [line(number, **more) for number in range(10)]) == 0


def test_words_for_levels_are_one_shape(tmp_path: pathlib.Path) -> None:
    names = ["debug", *["info"] * 8, "WARN", *["info"] * 8, "error", "fatal", "odd", "Information"]
    lines = [line(number, level=level, severity="High") for number, level in enumerate(names)]
    assert same(tmp_path / "app.log", lines) == 2 * len(names) - 1


def test_numbers_for_levels_are_shapes_of_their_own_and_the_frequent_one_is_tried_first(tmp_path: pathlib.Path) -> None:
    numbers = [20, *[30] * 8, 40, *[30] * 8, 50, 60]
    lines = [line(number, level=level) for number, level in enumerate(numbers)]
    assert same(tmp_path / "app.log", lines) == 2 * len(numbers) - 5


def test_text_between_is_not_lost_and_breaks_no_trace(tmp_path: pathlib.Path) -> None:
    trace = [HEAD.encode() + text for text in (b"Traceback (most recent call last):", b'  File "x"', b"KeyError: 1")]
    lines = [line(1), line(2), *trace, line(3), line(4), HEAD.encode() + b"plain", line(5)]
    assert same(tmp_path / "app.log", lines) > 4


def test_redaction_sees_lines_of_a_shape(tmp_path: pathlib.Path) -> None:
    lines = [line(number, mail=f"a{number}@example.org") for number in range(20)]
    given_ = ship(tmp_path / "app.log", lines, shaped=True, redact=("email",))
    assert given_.hits == 39
    assert not any(b"example.org" in body for body in given_.bodies)


def test_a_writer_of_ever_new_keys_costs_a_few_tries_only(tmp_path: pathlib.Path) -> None:
    lines = [line(number, **{f"key{number}": 1}) for number in range(200)]
    assert same(tmp_path / "app.log", lines) <= shapes.TRIES + 1


def test_lines_longer_than_allowed_are_cut_as_ever(tmp_path: pathlib.Path) -> None:
    lines = [line(number, text="x" * (4300 if number % 3 == 2 else 10)) for number in range(12)]
    assert same(tmp_path / "app.log", lines) == 8  # a line that was cut is text, and text may go on in the next one
