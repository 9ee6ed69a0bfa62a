"""The table of ECS types is ECS' own, and values are of their field's type or not taken."""

from __future__ import annotations

import csv
import ipaddress

import hypothesis
import pytest
from hypothesis import strategies as st

from tests import conftest
from tidegate.logs.ecs import fields, types
from tools import ecs_table

SOURCE = conftest.SHARED / "conformance/ecs/fields.csv"


@pytest.mark.skipif(not SOURCE.exists(), reason="ECS' own list is not here")
def test_the_table_is_ecs() -> None:
    assert ecs_table.TARGET.read_text() == ecs_table.render(SOURCE)
    with SOURCE.open(newline="") as file:
        theirs = {row["field"]: row["type"] for row in csv.DictReader(file)}
    ours = types.table()
    assert len(ours) > 2400
    for name, kind in ours.items():
        assert ecs_table.VALUES[theirs[name]] in ("", f":{kind}"), name
    missing = {name for name, kind in theirs.items() if kind in ecs_table.VALUES and name not in ours}
    assert all(name.rpartition(".")[0] in ours for name in missing), "only fields of fields are left out"


def test_no_field_is_also_an_object() -> None:
    names = set(types.table())
    assert not [name for name in names for at, char in enumerate(name) if char == "." and name[:at] in names]


def test_kinds_of_kql_agree_with_ecs() -> None:
    numbers = {"integer": "long"}
    for name, kind in fields.KNOWN.items():
        if name in types.table() and kind not in ("text", "keyword"):
            found = types.table()[name]
            assert numbers.get(found, found) == kind, name
    assert fields.kind("dns.question.name") == "unknown"
    assert fields.kind("process.parent.thread.id") == "long"


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("http.response.status_code", "503", 503),
        ("http.response.status_code", 503.0, 503),
        ("http.response.status_code", "5xx", None),
        ("http.response.status_code", True, None),
        ("http.response.bytes", 2**63, None),
        ("http.response.bytes", str(2**63 - 1), 2**63 - 1),
        ("source.ip", "2001:DB8::1", "2001:db8::1"),
        ("source.ip", "fe80::1%eth0", None),
        ("source.ip", 1, None),
        ("process.interactive", "true", True),
        ("process.interactive", "yes", None),
        ("event.start", "2026-01-02 03:04:05", "2026-01-02T03:04:05.000Z"),
        ("event.start", 1_767_323_045, "2026-01-02T03:04:05.000Z"),
        ("event.start", "Jan  2 03:04:05", None),
        ("event.risk_score", "1.5", 1.5),
        ("event.risk_score", "1e999", None),
        ("url.path", 5, "5"),
        ("url.path", {"a": 1}, None),
        ("process.args", ["a", "b"], ["a", "b"]),
        ("dns.resolved_ip", ["192.0.2.1", "x"], None),
        ("process.args", [], None),
        ("host.name", "mine", None),
        ("log.file.path", "/x", None),
        ("no.such.field", "x", None),
    ],
)
def test_values(name: str, given: object, wanted: object) -> None:
    assert types.value(name, given) == wanted
    assert type(types.value(name, given)) is type(wanted)


@hypothesis.given(
    st.sampled_from(sorted(types.free())),
    st.text(max_size=20) | st.integers() | st.floats() | st.booleans() | st.ip_addresses().map(str),
)
def test_what_is_taken_has_the_type(name: str, given: object) -> None:
    found = types.value(name, given)
    kind = types.free()[name]
    wanted = {"long": int, "integer": int, "float": float, "boolean": bool}.get(kind, str)
    assert found is None or type(found) is wanted
    if kind == "ip" and found is not None:
        assert str(ipaddress.ip_address(str(found))) == found
    if kind == "long" and isinstance(found, int):
        assert -(2**63) <= found < 2**63
