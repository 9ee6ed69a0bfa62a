"""Whatever keys and values lines have, a real server takes their documents: never a 400, and typed fields are typed."""

from __future__ import annotations

import asyncio
import collections.abc
import itertools
import pathlib
import urllib.request

import hypothesis
import orjson
import pytest
from hypothesis import strategies as st

from tests import conftest
from tests.services import cache, elasticsearch
from tidegate.logs.ecs import types
from tidegate.logs.elasticsearch import templates
from tidegate.logs.read import source
from tidegate.model import settings

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(200)]
FLAVOURS = (elasticsearch.ELASTICSEARCH, elasticsearch.OPENSEARCH)
NUMBERS = itertools.count()
NAMES = sorted(types.table())
WORDS = [
    "",
    ".",
    "a.",
    ".a",
    "a..b",
    "app",
    "app.kubernetes.io/name",
    "host",
    "labels",
    "error",
    "process",
    "user",
    "@timestamp",
]
TEXTS = [
    "192.0.2.1",
    "2001:db8::1",
    "12",
    "-1.5e3",
    "true",
    "2026-01-02T03:04:05Z",
    "2026-01-02",
    "\0",
    "é\u2028",
]
LONG = {"k": "k" * 40_000, "h": "漢" * 1500, "x": "x" * 40_000, "y": "漢" * 9000, "z": "漢" * 8100}
BIG = st.sampled_from(sorted(LONG)).map(lambda name: LONG[name])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(TEXTS)
    | st.text(max_size=8)
    | BIG
)
KEYS = BIG | st.sampled_from(NAMES) | st.sampled_from(WORDS) | st.text(max_size=6)
PARTS = st.sampled_from(sorted({part for name in NAMES for part in name.split(".")}))
OBJECTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PARTS | KEYS, inner, max_size=3),
    max_leaves=10,
)
JSON = st.dictionaries(KEYS | PARTS, OBJECTS, max_size=6).map(orjson.dumps)
PAIRS = st.dictionaries(KEYS, st.sampled_from(TEXTS[:-2]) | st.text("abc123:.-", max_size=9), min_size=1, max_size=5)
KEY_VALUE = PAIRS.map(lambda given: "; ".join(f"{name}: {value}" for name, value in given.items()).encode())
LOGFMT = PAIRS.map(
    lambda given: " ".join(["level=info", *(f"{name}={value}" for name, value in given.items())]).encode()
)
TOKEN = st.sampled_from(["-", "192.0.2.1", "web-1", "::1", "999", "70000", "x.y:80", "99999999999999999999", "²"])
ACCESS = st.tuples(TOKEN, TOKEN, TOKEN, TOKEN, TOKEN).map(
    lambda t: (
        f'{t[0]} {t[1]} - {t[2]} [10/Oct/2026:13:55:36 -0700] "GET {t[3]} HTTP/1.1" 200 {t[4]} "-" "{t[0]}"'.encode()
    )
)
FREE = st.binary(max_size=60)
LINES = {
    "auto": JSON | LOGFMT | FREE,
    "json": JSON,
    "key_value": KEY_VALUE,
    "access": ACCESS,
    "grok": TOKEN.map(str.encode),
}


@pytest.fixture(scope="module", params=FLAVOURS, ids=lambda flavour: flavour.kind)
def server(request: pytest.FixtureRequest) -> collections.abc.Iterator[str]:
    try:
        with elasticsearch.address(request.param) as url:
            asyncio.run(templates.install(settings.Elasticsearch(urls=(url,)), dry_run=False))
            yield url
    except cache.UnavailableError as error:
        conftest.unavailable(str(error))


def documents(path: pathlib.Path, form: str, lines: list[bytes]) -> list[bytes]:
    """What the lines of a file become."""
    path.write_bytes(b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines))
    stat = path.stat()
    given = {"paths": ["x"], "format": form, "dataset": "any", "pair_separator": "; ", "value_separator": ": "}
    if form == "grok":
        given["pattern"] = r"(?<source.ip>.*)" if len(lines) % 2 else r"(?<http.response.status_code>.*)"
    made = source.Source(
        str(path), (stat.st_dev, stat.st_ino), settings.LogInput.model_validate(given), host="h", longest=100_000
    )
    chunk = made.step(1_767_355_200.0, final=True)
    made.tail.close()
    return chunk.bodies


def bulk(url: str, bodies: list[bytes]) -> None:
    """Store documents; each must be taken."""
    actions = b"".join(b'{"create":{"_id":"%d"}}\n%b\n' % (next(NUMBERS), body) for body in bodies)
    request = urllib.request.Request(
        f"{url}/logs-any-default/_bulk", actions, {"content-type": "application/x-ndjson"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = orjson.loads(answer.read())
    wrong = [
        (item["create"]["error"], bodies[number])
        for number, item in enumerate(found["items"])
        if item["create"]["status"] >= 300
    ]
    if wrong:
        pytest.fail(f"{wrong[0][0]}: {wrong[0][1][:500]!r}")


@hypothesis.settings(max_examples=60, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(
    st.fixed_dictionaries({form: st.lists(lines, min_size=1, max_size=20) for form, lines in LINES.items()})
)
def test_every_document_is_taken(
    server: str, tmp_path_factory: pytest.TempPathFactory, given: dict[str, list[bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    bodies = [body for form, lines in given.items() for body in documents(folder / f"{form}.log", form, lines)]
    hypothesis.assume(bodies)
    bulk(server, bodies)


@pytest.mark.parametrize("kind", sorted(set(types.free().values())))
def test_every_ecs_field_takes_its_values(server: str, tmp_path: pathlib.Path, kind: str) -> None:
    """Fields of each type get good and bad values; the bad ones become labels."""
    good = {"long": 5, "integer": 6, "float": 1.5, "boolean": True, "ip": "192.0.2.9", "date": "2026-01-02T03:04:05Z"}
    names = [name for name, of in types.free().items() if of == kind]
    names = names[:: len(names) // 80 + 1]  # each new field is an update of the mapping, which takes a server a while
    values = [good.get(kind, "text"), "neither", [1, "x"], {"deep": 1}, 1.5, "2026"]
    lines = [orjson.dumps({"msg": "m", name: value}) for name in names for value in values]
    bulk(server, documents(tmp_path / "all.log", "json", lines))


def test_the_index_knows_the_types(server: str, tmp_path: pathlib.Path) -> None:
    line = {
        "msg": "typed",
        "source": {"ip": "192.0.2.9"},
        "http.response.status_code": "503",
        "event.start": "2026-01-02 03:04:05",
        "dns": {"resolved_ip": ["192.0.2.1", "2001:db8::1"]},
        "process": {"interactive": True},
        "app": "shop",
        "app.kubernetes.io/name": "cart",
    }
    bulk(server, documents(tmp_path / "typed.log", "json", [orjson.dumps(line)]))
    elasticsearch.call("POST", f"{server}/logs-any-default/_refresh")
    queries = [
        {"term": {"source.ip": "192.0.2.0/24"}},
        {"range": {"http.response.status_code": {"gte": 500}}},
        {"range": {"event.start": {"gte": "2026-01-02T03:04:05Z", "lt": "2026-01-02T03:04:06Z"}}},
        {"term": {"dns.resolved_ip": "2001:db8::/32"}},
        {"term": {"process.interactive": True}},
        {"term": {"labels.app": "shop"}},
        {"term": {"labels.app_kubernetes_io/name": "cart"}},
    ]
    body = {"query": {"bool": {"filter": [{"match_phrase": {"message": "typed"}}, *queries]}}}
    hits = elasticsearch.call("POST", f"{server}/logs-any-default/_search", body)["hits"]
    assert hits["total"]["value"] == 1  # type: ignore[index]
