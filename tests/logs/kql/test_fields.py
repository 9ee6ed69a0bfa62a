"""The table of fields against ECS' own list and against our index template."""

from __future__ import annotations

import csv
import pathlib

from tidegate.logs.ecs import fields
from tidegate.logs.elasticsearch import mapping

_KINDS = {
    "keyword": "keyword",
    "constant_keyword": "keyword",
    "wildcard": "keyword",
    "ip": "keyword",
    "match_only_text": "text",
    "long": "long",
    "integer": "long",
    "float": "float",
    "date": "date",
    "boolean": "boolean",
}


def test_agrees_with_ecs(conformance: pathlib.Path) -> None:
    with (conformance / "ecs/fields.csv").open() as file:
        ecs = {row["field"]: row["type"] for row in csv.DictReader(file)}
    ours = {name: kind for name, kind in fields.KNOWN.items() if not name.startswith("kubernetes.")}
    assert set(ours) - set(ecs) == fields.OURS
    wrong = {name: ecs[name] for name, kind in ours.items() if name in ecs and _KINDS[ecs[name]] != kind}
    assert wrong == {}
    assert ecs["labels"] == "object"


def test_agrees_with_the_index_template() -> None:
    template = mapping.properties()
    assert {name for name, field in template.items() if field["type"] == "flattened"} == fields.FLATTENED
    assert {name: fields.longest(name) for name in template} == {
        name: field.get("ignore_above", fields.LONGEST_KEYWORD if field["type"] == "constant_keyword" else None)
        for name, field in template.items()
    }
    for name in fields.FLATTENED:
        template.pop(name)
        assert (fields.kind(name), fields.kind(f"{name}.x")) == ("label", "label")
    assert {name: fields.kind(name) for name in template} == {
        name: _KINDS[field["type"]] for name, field in template.items()
    }
    assert template["error.stack_trace"]["fields"]["text"]["type"] == "match_only_text"


def test_short_names_stand_for_known_fields() -> None:
    assert {full for full in fields.ALIASES.values() if full not in fields.KNOWN} == set()
    assert fields.resolve("level") == "log.level"
    assert fields.resolve("order_id") == "labels.order_id"
    assert fields.resolve("custom.field") == "custom.field"
    assert fields.kind("custom.field") == "unknown"
    assert fields.kind("error") == "group"


def test_patterns_of_names() -> None:
    assert fields.like("error.m*") == ("error.message",)
    assert "labels" in fields.like("labels.*")
    assert fields.like("nope*") == ()
