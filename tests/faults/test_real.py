"""The cases that a real Elasticsearch and OpenSearch can play, with real agent processes, the same generator and oracle."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import pathlib
import secrets
import shutil
import subprocess
import tempfile
import urllib.error
import uuid
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent import futures
from typing import Any, TypeAlias

import orjson
import pydantic
import pytest

from tests import conftest
from tests.faults import fake, process
from tests.services import cache, elasticsearch
from tidegate.logs.elasticsearch import keys
from tidegate.model import settings

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(240)]
MODULE = conftest.SHARED / "elasticsearch/probe-root"


class Real(process.Process):
    """An agent before a real server, with a data stream of its own."""

    keeps = False

    def __init__(self, folder: pathlib.Path, server: elasticsearch.Server, **more: Any) -> None:
        self.real = server
        self.stream = f"logs-faults{uuid.uuid4().hex[:8]}-default"
        inputs = [{"paths": ["*.log"], "dataset": self.stream.split("-")[1], "multiline": {"flush_after": "100ms"}}]
        output = {"bulk_bytes": 20_000, **more}
        super().__init__(folder, server.url, fake.Elasticsearch(), inputs=inputs, elasticsearch=output)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request to the server."""
        return elasticsearch.call(method, self.real.url + path, body, self.real.headers)

    def documents(self) -> Iterable[Mapping[str, Any]]:
        """Every stored document, from the server, doubles included."""
        self.call("POST", f"/{self.stream}/_refresh")
        found: list[Mapping[str, Any]] = []
        after: list[Any] = []
        while True:
            query = {"size": 5000, "sort": [{"_index": "asc"}, {"_seq_no": "asc"}], "_source": ["message"]}
            answer = self.call(
                "POST", f"/{self.stream}/_search", {**query, **({"search_after": after} if after else {})}
            )
            hits = answer["hits"]["hits"]
            if not hits:
                return found
            found += [hit["_source"] for hit in hits]
            after = hits[-1]["sort"]

    def count(self) -> int:
        """How many documents can be found."""
        try:
            self.call("POST", f"/{self.stream}/_refresh")
            return int(self.call("GET", f"/{self.stream}/_count")["count"])
        except urllib.error.HTTPError as error:
            if error.code == 404:  # nothing was written yet
                return 0
            raise

    async def counts(self, name: str) -> None:
        """Wait until the agent has counted something."""
        for _ in range(600):
            if (await self.metrics()).get(name):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{name} is still 0: {self.output.read_text()[-2000:]}")

    async def stored(self, patience: float = process.PATIENCE) -> None:
        """Wait until as many documents as lines are stored."""
        await self.until(lambda: self.count() >= len(self.written), patience, 0.25)

    async def report(self, case: str, by: str = "", *, lost: int = 0, doubled: int = 0) -> None:
        """Give the row of the case."""
        counted = int((await self.metrics()).get(by, 0)) if by else 0
        self.judge(case, counted, by, lost=lost, doubled=doubled, server=self.real.flavour.title)


def template(server: elasticsearch.Server, **more: object) -> None:
    """Data streams with enough of a mapping to sort by."""
    keyword = {"type": "keyword"}
    log = {"properties": {"offset": {"type": "long"}, "file": {"properties": {"path": keyword}}}}
    labels = {"type": "flattened" if server.flavour.kind == "elasticsearch" else "flat_object"}
    made = {
        "index_patterns": ["logs-faults*-*"],
        "priority": 500,
        "data_stream": {},
        "template": {
            "settings": {"number_of_replicas": 0},
            "mappings": {"properties": {"@timestamp": {"type": "date"}, "log": log, "labels": labels}},
            **more,
        },
    }
    elasticsearch.call("PUT", f"{server.url}/_index_template/faults", made, server.headers)


FLAVOURS = (elasticsearch.ELASTICSEARCH, elasticsearch.OPENSEARCH)


@pytest.fixture(scope="module")
def servers() -> Iterator[list[elasticsearch.Server]]:
    """Servers of our own, since they are killed and blocked; on ports that stay the same. Started side by side."""
    try:
        with futures.ThreadPoolExecutor() as pool:
            made = list(pool.map(_started, FLAVOURS))
    except cache.UnavailableError as error:
        conftest.unavailable(str(error))
        raise
    yield made
    for each in made:
        each.stop()


def _started(flavour: elasticsearch.Flavour) -> elasticsearch.Server:
    made = elasticsearch.Server({"http.port": process.free_port()}, flavour)
    template(made)
    return made


async def writing(it: Real, numbers: range, name: str = "app.log", pause: float = 0.01) -> None:
    """Write steadily."""
    for start in range(numbers.start, numbers.stop, 50):
        it.write(name, range(start, min(start + 50, numbers.stop)))
        await asyncio.sleep(pause)


async def rotation(it: Real) -> None:
    it.start()
    it.write("app.log", range(9000, 9010))
    await it.stored()  # what was rotated before the first start is nobody's
    for turn in range(5):
        await writing(it, range(turn * 1000, turn * 1000 + 1000))
        (it.folder / "app.log").rename(it.folder / f"app.log.{turn}")
    it.write("app.log", range(5000, 5100))
    await it.stored()
    await it.report("rotation, real server")


async def server_killed(it: Real) -> None:
    await _away(it, it.real.kill, "server killed and started again")


async def server_stopped(it: Real) -> None:
    await _away(it, it.real.end, "server stopped and started again")


async def _away(it: Real, end: Callable[[], None], case: str) -> None:
    it.start()
    it.write("app.log", range(9000, 9010))
    await it.stored()
    writer = asyncio.create_task(writing(it, range(6000), pause=0.02))
    await it.until(lambda: it.count() > 500, pause=0.25)
    await asyncio.to_thread(end)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(it.real.start)
    await writer
    await it.stored()
    await it.report(case, "elasticsearch_retried_total")


async def block(it: Real) -> None:
    it.start()
    it.write("app.log", range(1000))
    await it.stored()
    it.call("PUT", f"/{it.stream}/_settings", {"index.blocks.read_only_allow_delete": True})
    it.write("app.log", range(1000, 2000))
    await it.counts("elasticsearch_retried_total")
    it.call("PUT", f"/{it.stream}/_settings", {"index.blocks.read_only_allow_delete": None})
    await it.stored()
    await it.report("read-only-allow-delete block set and cleared", "elasticsearch_retried_total")


async def rollover(it: Real) -> None:
    """Without a try of unknown outcome at the same time, a rollover doubles nothing."""
    it.start()
    it.write("app.log", range(9000, 9010))
    await it.stored()
    writer = asyncio.create_task(writing(it, range(4000)))
    await it.until(lambda: it.count() > 200, pause=0.25)
    for _ in range(3):
        it.call("POST", f"/{it.stream}/_rollover", {})
    await writer
    await it.stored()
    await it.report("rollover under writing", "elasticsearch_rolled_over_total")


async def mapping_conflict(it: Real) -> None:
    """A field that is mapped as a number refuses a text: those lines are kept, with the reason, and counted."""
    it.write("app.log", range(1))
    it.start()
    await it.stored()
    it.call("PUT", f"/{it.stream}/_mapping", {"properties": {"error": {"properties": {"type": {"type": "long"}}}}})
    with (it.folder / "app.log").open("a") as file:
        file.writelines(f'{{"msg":"x","error":{{"type":"seq=bad-{number}"}}}}\n' for number in range(7))
    it.write("app.log", range(1, 500), form="json")
    await it.stored()
    await it.counts("dead_letters_total")
    it.written |= {f"bad-{number}" for number in range(7)}
    await it.report("mapping conflict", "dead_letters_total", lost=7)
    assert (await it.metrics())["dead_letters_total"] == 7
    letters = (it.folder / "data/logs/dead-letters.jsonl").read_bytes().splitlines()
    assert {orjson.loads(row)["status"] for row in letters} == {400}


async def dotted_labels(it: Real) -> None:
    it.start()
    with (it.folder / "app.log").open("w") as file:
        for number in range(100):
            names = ['"app":"a"', '"app.kubernetes.io/name":"b"', '"app":{"kubernetes":{"io/name":"c"}}']
            file.write(f'{{"msg":"seq=x-{number}","labels":{{{names[number % 3]}}},{names[(number + 1) % 3]}}}\n')
            it.written.add(f"x-{number}")
    await it.stored()
    await it.report("app beside app.kubernetes.io/name, real server", "dead_letters_total")
    assert (await it.metrics()).get("dead_letters_total", 0) == 0


Case: TypeAlias = Callable[[Real], Coroutine[Any, Any, None]]
CASES: tuple[Case, ...] = (
    rotation,
    server_killed,
    server_stopped,
    block,
    rollover,
    mapping_conflict,
    dotted_labels,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_each_server(tmp_path: pathlib.Path, servers: list[elasticsearch.Server], case: Case) -> None:
    """The same on every server, side by side."""
    agents = []
    for server in servers:
        (tmp_path / server.flavour.kind).mkdir()
        agents.append(Real(tmp_path / server.flavour.kind, server))
    try:
        async with asyncio.TaskGroup() as group:
            for it in agents:
                group.create_task(case(it))
    finally:
        for it in agents:
            it.kill()


# --- with API keys and a failure store, which the distribution for integration tests has only with a module more ------


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[elasticsearch.Server]:
    """Elasticsearch 9 with security, and a module that adds what API keys need."""
    if not MODULE.is_dir():
        conftest.unavailable(f"no module for API keys at {MODULE}")
    try:
        home, java = elasticsearch.home_of(elasticsearch.ELASTICSEARCH)
    except cache.UnavailableError as error:
        conftest.unavailable(str(error))
        raise
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="keyed-") as folder:
        ours = _with_module(home, pathlib.Path(folder), java)
        made = elasticsearch.Server(
            {
                "http.port": process.free_port(),
                "xpack.security.enabled": True,
                "xpack.security.http.ssl.enabled": False,
            },
            home=ours,
            files={"users": f"admin:{_hash('admin-secret')}\n", "users_roles": "superuser:admin\n"},
            headers={"authorization": "Basic " + base64.b64encode(b"admin:admin-secret").decode()},
        )
        try:
            template(made, data_stream_options={"failure_store": {"enabled": True}})
            yield made
        finally:
            made.stop()


def _with_module(home: pathlib.Path, folder: pathlib.Path, java: pathlib.Path) -> pathlib.Path:
    """A copy of a server with the module built in."""
    folder.chmod(0o755)
    ours, classes = folder / home.name, folder / "classes"
    subprocess.run(["cp", "-a", str(home), str(ours)], check=True)
    target = ours / "modules/probe-root"
    target.mkdir()
    sources = [str(path) for path in MODULE.glob("*.java")]
    command = [f"{java}/bin/javac", "--release", "21", "-cp", f"{ours}/lib/*", "-d", str(classes), *sources]
    subprocess.run(command, check=True, capture_output=True)
    services = classes / "META-INF/services"
    services.mkdir(parents=True)
    (services / "org.elasticsearch.features.FeatureSpecification").write_text("probe.Features\n")
    subprocess.run([f"{java}/bin/jar", "cf", f"{target}/probe-root.jar", "-C", str(classes), "."], check=True)
    shutil.copy(MODULE / "plugin-descriptor.properties", target)
    subprocess.run(["chmod", "-R", "a+rX", str(ours)], check=True)
    return ours


def _hash(password: str) -> str:
    """As Elasticsearch's file of users has it."""
    salt = secrets.token_bytes(32)
    raw = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 1000, 32)
    return "{PBKDF2}1000$" + base64.b64encode(salt).decode() + "$" + base64.b64encode(raw).decode()


def _key(server: elasticsearch.Server, name: str) -> tuple[str, str]:
    """A key that may only ship: its id, and its encoded form."""
    privileges = [{"names": ["logs-*-*"], "privileges": ["create_doc", "auto_configure"]}]
    body = {"name": name, "role_descriptors": {"shipper": {"cluster": [], "indices": privileges}}}
    made = elasticsearch.call("POST", f"{server.url}/_security/api_key", body, server.headers)
    return str(made["id"]), str(made["encoded"])


async def test_key_revoked_and_replaced(tmp_path: pathlib.Path, keyed: elasticsearch.Server) -> None:
    """The key is in a file, as a Kubernetes secret is; the configuration is read again when it changes."""
    old, encoded = _key(keyed, "old")
    secret = tmp_path / "key"
    secret.write_text(encoded)
    it = Real(tmp_path, keyed, api_key_file=str(secret))
    try:
        it.start()
        it.write("app.log", range(1000))
        await it.stored()
        elasticsearch.call("DELETE", f"{keyed.url}/_security/api_key", {"ids": [old]}, keyed.headers)
        it.write("app.log", range(1000, 2000))
        await it.counts("elasticsearch_retried_total")
        secret.write_text(_key(keyed, "new")[1])
        await it.stored()
        await it.report("API key revoked and replaced", "elasticsearch_retried_total")
        assert encoded not in it.output.read_text()
    finally:
        it.kill()


async def test_keys_that_setup_makes_can_do_their_work_and_nothing_more(
    tmp_path: pathlib.Path, keyed: elasticsearch.Server
) -> None:
    """Against the server's own judgement: one ships and cannot read, the other reads and cannot ship."""
    admin = settings.Elasticsearch(urls=(keyed.url,), username="admin", password=pydantic.SecretStr("admin-secret"))
    await keys.make(admin, tmp_path)
    header = {use: {"authorization": f"ApiKey {(tmp_path / f'{use}.key').read_text()}"} for use in ("ship", "read")}
    document = {"@timestamp": "2026-01-02T03:04:05Z", "message": "made by a key"}
    target = f"{keyed.url}/logs-keys-default"
    elasticsearch.call("POST", f"{target}/_doc?op_type=create&refresh=true", document, keyed.headers)
    elasticsearch.call("POST", f"{target}/_create/1?refresh=false", document, header["ship"])
    elasticsearch.call("POST", f"{target}/_refresh", None, keyed.headers)
    found = elasticsearch.call("POST", f"{target}/_search", {}, header["read"])
    assert found["hits"]["total"]["value"] == 2  # type: ignore[index]
    for use, method, path in (
        ("ship", "POST", "logs-keys-default/_search"),
        ("ship", "DELETE", "logs-keys-default"),
        ("ship", "POST", "other/_doc"),
        ("ship", "GET", "_cluster/health"),
        ("read", "POST", "logs-keys-default/_create/2"),
        ("read", "DELETE", "logs-keys-default"),
        ("read", "POST", "other/_search"),
        ("read", "GET", "_cluster/health"),
    ):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            elasticsearch.call(
                method, f"{keyed.url}/{path}", document if "/_doc" in path or "/_create" in path else None, header[use]
            )


async def test_failure_store(tmp_path: pathlib.Path, keyed: elasticsearch.Server) -> None:
    """What the stream cannot map goes to its failure store, which keeps it: counted, and no dead letter."""
    it = Real(tmp_path, keyed, username="admin", password="admin-secret")
    try:
        it.write("app.log", range(1))
        it.start()
        await it.stored()
        it.call("PUT", f"/{it.stream}/_mapping", {"properties": {"error": {"properties": {"type": {"type": "long"}}}}})
        with (tmp_path / "app.log").open("a") as file:
            file.writelines(f'{{"msg":"x","error":{{"type":"text {number}"}}}}\n' for number in range(7))
        it.write("app.log", range(1, 300), form="json")
        await it.stored()
        await it.counts("elasticsearch_failure_store_total")
        await it.report("failure store, real server", "elasticsearch_failure_store_total")
        assert (await it.metrics())["elasticsearch_failure_store_total"] == 7
        it.call("POST", f"/{it.stream}::failures/_refresh")
        assert it.call("GET", f"/{it.stream}::failures/_count")["count"] == 7
    finally:
        it.kill()
