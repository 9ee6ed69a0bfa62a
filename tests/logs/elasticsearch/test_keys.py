"""API keys for shipping and reading: what is asked for, where they go, and what is never left behind."""

from __future__ import annotations

import pathlib
import stat

import orjson
import pytest

from tests.faults import fake, fronts
from tidegate.logs.elasticsearch import keys
from tidegate.model import problems, settings

CONFIG = settings.Elasticsearch(urls=("http://es:9200",))


class Server(fake.Elasticsearch):
    """Gives keys."""

    def __init__(self, answer: fake.Answer | None = None) -> None:
        super().__init__()
        self.asked: list[dict[str, object]] = []
        self._answer = answer

    def handle(self, method: str, target: str, headers: object, body: bytes) -> fake.Answer:
        assert (method, target) == ("POST", "/_security/api_key")
        self.asked.append(orjson.loads(body))
        name = str(self.asked[-1]["name"])
        return self._answer or fake.Answer(200, orjson.dumps({"id": "1", "name": name, "encoded": f"secret-{name}"}))


async def test_each_goes_to_a_file_of_its_own(tmp_path: pathlib.Path) -> None:
    server, folder = Server(), tmp_path / "new"
    report = await keys.make(CONFIG, folder, node_class=fronts.node(server))
    assert [line.partition(":")[0] for line in report] == ["API key tidegate-ship", "API key tidegate-read"]
    assert not any("secret" in line for line in report)
    for use in ("ship", "read"):
        path = folder / f"{use}.key"
        assert path.read_text() == f"secret-tidegate-{use}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    roles = [one["role_descriptors"] for one in server.asked]
    assert roles == [
        {
            "tidegate-ship": {
                "cluster": [],
                "indices": [{"names": ["logs-*-*"], "privileges": ["create_doc", "auto_configure"]}],
            }
        },
        {
            "tidegate-read": {
                "cluster": [],
                "indices": [{"names": ["logs-*"], "privileges": ["read", "view_index_metadata"]}],
            }
        },
    ]


async def test_a_key_that_is_there_is_not_replaced(tmp_path: pathlib.Path) -> None:
    server = Server()
    (tmp_path / "ship.key").write_text("old")
    with pytest.raises(problems.PermanentError, match="File exists"):
        await keys.make(CONFIG, tmp_path, node_class=fronts.node(server))
    assert server.asked == []
    assert (tmp_path / "ship.key").read_text() == "old"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (fake.error(403, "security_exception", "not allowed"), "HTTP 403: security_exception: not allowed"),
        (fake.error(400, "illegal_argument_exception", "no handler found for uri"), "OpenSearch has none"),
    ],
)
async def test_a_refusal_leaves_no_file(tmp_path: pathlib.Path, answer: fake.Answer, says: str) -> None:
    with pytest.raises(problems.PermanentError, match=says):
        await keys.make(CONFIG, tmp_path, node_class=fronts.node(Server(answer)))
    assert list(tmp_path.iterdir()) == []
