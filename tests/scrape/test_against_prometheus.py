"""A real Prometheus scrapes the same expositions: the same series, values, metadata and exemplars, or both refuse."""

from __future__ import annotations

import http.server
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.services import prometheus
from tidegate.model import labels, problems
from tidegate.scrape import exposition, lines, protocols

pytestmark = pytest.mark.service
TEXT = "text/plain; version=0.0.4"
TEXT_1 = "text/plain; version=1.0.0; escaping=allow-utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
EXPOSITIONS: dict[str, tuple[str, str]] = {
    "numbers": (
        TEXT,
        "a 1\nb +Inf\nc -Inf\nd 1e-3\ne 0.1e+5\nf 00012\ng .5\nh 5.\ni infinity\nj -0\nk 1.7976931348623157e308\nl 5e-324\n",
    ),
    "buckets": (
        TEXT,
        """# HELP h Some\\nlines \\\\ here.
# TYPE h histogram
h_bucket{le="1"} 1
h_bucket{le="1e6"} 2
h_bucket{le="100000"} 2
h_bucket{x="y",le="0.00001"} 3
h_bucket{le="+Inf",a="b"} 3
h_sum 3
h_count 3
# TYPE s summary
s{quantile="0.50"} 1
s{quantile="1",B="c"} 2
# TYPE g gauge
g{le="1",quantile="1"} 5
# TYPE h2 histogram
other{le="1",quantile="1"} 6
""",
    ),
    "spaces": (TEXT, 'a  1\nb {c="d" , e = "f" , }\t2\n\n \t\n# just a comment\n#TYPE\n# HELP i\ni 3 \nj{} 4'),
    "escapes": (TEXT, 'a{b="c\\\\d\\"e\\nf"} 1\na{b="\\x"} 2\na{b="",c="é☃"} 3\n'),
    "utf8": (
        TEXT_1,
        '# TYPE "my.metric" counter\n{"my.metric","a label"="b"} 1\n{"other"} 2\nplain{"quoted.label"="x"} 3\n',
    ),
    "types": (
        TEXT,
        "# TYPE a untyped\na 1\n# TYPE b counter\n# HELP b Of b.\nb 2\n# HELP only  A text. \n#  HELP  c   Of c.\n",
    ),
    "doubled": (TEXT, 'a{x="1",y="2"} 1\na{y="2",x="1"} 1\nb 3\n'),
    "openmetrics": (
        OPENMETRICS,
        """# HELP a Some \\"things\\".
# TYPE a counter
a_total 1 # {trace="t1",span="s1"} 0.5
a_created 1700000000.5
# TYPE b_seconds histogram
# UNIT b_seconds seconds
b_seconds_bucket{le="1"} 1 # {trace="t2"} 0.25
b_seconds_bucket{le="+Inf"} 2
b_seconds_count 2
b_seconds_sum 3
# TYPE i info
i_info{v="1"} 1
# TYPE s stateset
s{s="on"} 1
s{s="off"} 0
# TYPE gh gaugehistogram
gh_bucket{le="5"} 1
# EOF
""",
    ),
    "careless": (OPENMETRICS, '# TYPE a counter\na_total -1\n# TYPE a counter\nb 1\na_total{x="y",} 2\n# EOF'),
    "nothing": (OPENMETRICS, ""),
    "glued": (TEXT, 'a{a="b"}1\na0.5\nb-3 5000\nc{d="e"}+Inf\n'),
    "no end": (OPENMETRICS, "a 1\n"),
    "after the end": (OPENMETRICS, "a 1\n# EOF\nb 1\n"),
    "two spaces": (OPENMETRICS, "a  1\n# EOF\n"),
    "empty line": (OPENMETRICS, "a 1\n\n# EOF\n"),
    "other comment": (OPENMETRICS, "# a comment\na 1\n# EOF\n"),
    "untyped": (OPENMETRICS, "# TYPE a untyped\na 1\n# EOF\n"),
    "wrong unit": (OPENMETRICS, "# UNIT a seconds\na 1\n# EOF\n"),
    "hexadecimal": (TEXT, "a 0x1p3\n"),
    "underscore": (TEXT, "a 1_000\n"),
    "too large": (TEXT, "a 1e999\n"),
    "signed nan": (TEXT, "a -NaN\n"),
    "windows": (TEXT, "a 1\r\nb 2\r\n"),
    "no value": (TEXT, "a\n"),
    "no name": (TEXT, '{a="b"} 1\n'),
    "unquoted": (TEXT, "a{b=c} 1\n"),
    "wrong type": (TEXT, "# TYPE a nothing\na 1\n"),
    "another type": (TEXT, "# TYPE a info\na 1\n"),
    "spare space": (TEXT, "# TYPE a gauge \na 1\n"),
    "two spaces before a type": (TEXT, "# TYPE a  gauge\na 1\n"),
    "upper type": (TEXT, "# TYPE a Counter\na 1\n"),
    "bad name": (TEXT, "0a 1\n"),
    "twice": (TEXT, 'a{b="c",b="d"} 1\n'),
    "html": ("text/html", "a 1\n"),
    "nothing said": ("", "a 1\n"),
    "openmetrics 2": ("application/openmetrics-text; version=2.0.0", "a 1\n# EOF\n"),
}


@pytest.fixture(scope="module")
def served() -> Iterator[int]:
    """The port of a server that has each exposition at its number, and counts the scrapes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content_type, body = list(EXPOSITIONS.values())[int(self.path[1:])]
            self.send_response(200)
            if content_type:
                self.send_header("content-type", content_type)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def scraped(served: int, prometheus_binary: pathlib.Path) -> Iterator[prometheus.Server]:
    """A Prometheus that has scraped each of them."""
    assert prometheus_binary
    jobs = [
        {"job_name": name, "metrics_path": f"/{number}", "static_configs": [{"targets": [f"127.0.0.1:{served}"]}]}
        for number, name in enumerate(EXPOSITIONS)
    ]
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
    with prometheus.running(yaml.safe_dump(config), ["--enable-feature=exemplar-storage"]) as server:
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            found = server.get("/api/v1/query", query="count by (job) (up)")["result"]
            if len(found) == len(EXPOSITIONS):
                break
            time.sleep(0.1)  # as long as a real Prometheus takes
        yield server


class Ours:
    """What we make of one exposition."""

    def __init__(self, name: str) -> None:
        self.columns: dict[labels.Labels, int] = {}
        parser = exposition.Parser(
            lambda found: self.columns.setdefault(labels.make(found), len(self.columns)), canonical=True
        )
        content_type, body = EXPOSITIONS[name]
        self.values: dict[labels.Labels, float] = {}
        self.exemplars: dict[labels.Labels, lines.Exemplar] = {}
        self.error = ""
        try:
            parsed = parser.parse(body.encode(), protocols.choose(content_type))
        except problems.TransientError as error:
            self.error = str(error)
            return
        names = {column: found for found, column in self.columns.items()}
        plain = zip(parsed.columns.tolist(), parsed.values.tolist(), strict=True)
        self.values = {names[column]: value for column, value in plain}
        self.exemplars = {names[column]: one for column, one in parsed.exemplars}
        self.families = {one.name: (one.type, one.help, one.unit) for one in parser.families}


def own(given: dict[str, str]) -> labels.Labels:
    """A series without the labels of its target."""
    return labels.make({name: value for name, value in given.items() if name not in ("job", "instance")})


@pytest.mark.parametrize("name", EXPOSITIONS)
def test_the_same_is_stored_or_refused(scraped: prometheus.Server, name: str) -> None:
    found: list[dict[str, Any]] = scraped.get("/api/v1/query", query=f'{{job="{name}"}}')["result"]
    theirs = {own(one["metric"]): float(one["value"][1]) for one in found}
    up = theirs[labels.make(__name__="up")]
    theirs = {of: value for of, value in theirs.items() if labels.get(of, "__name__")[:7] not in ("up", "scrape_")}
    ours = Ours(name)
    assert (up == 1.0) == (not ours.error), ours.error
    assert ours.values == theirs


def test_the_same_is_said_of_metrics(scraped: prometheus.Server) -> None:
    found = scraped.get("/api/v1/targets/metadata")
    theirs: dict[str, dict[str, tuple[str, str, str]]] = {}
    for one in found:
        theirs.setdefault(one["target"]["job"], {})[one["metric"]] = (one["type"], one["help"], one["unit"])
    for name in ("buckets", "utf8", "types", "openmetrics"):
        assert Ours(name).families == theirs[name]


def test_the_same_exemplars_are_kept(scraped: prometheus.Server) -> None:
    found = scraped.get("/api/v1/query_exemplars", query='{job="openmetrics"}', start=0, end=time.time() + 60)
    theirs = {own(one["seriesLabels"]): one["exemplars"][0] for one in found}
    ours = Ours("openmetrics").exemplars
    assert {of: (labels.make(one["labels"]), float(one["value"])) for of, one in theirs.items()} == {
        of: (one.labels, one.value) for of, one in ours.items()
    }
