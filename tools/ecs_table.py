"""Writes the table of ECS field types from ECS' own list: `python -m tools.ecs_table FIELDS.CSV`.

The list has the columns `field,type,...`. One line of the table is an object with its fields, `name:type`; keywords have no
type. Left out: fields of fields (`url.full.text`), and what is no single value (objects, nested, flattened, points).
"""

from __future__ import annotations

import collections
import csv
import pathlib
import sys

TARGET = pathlib.Path(__file__).parents[1] / "daemon/tidegate/logs/ecs/table.txt"
VALUES = {
    "keyword": "",
    "wildcard": "",
    "constant_keyword": "",
    "match_only_text": ":text",
    "long": ":long",
    "integer": ":integer",
    "float": ":float",
    "double": ":float",
    "scaled_float": ":float",
    "boolean": ":boolean",
    "ip": ":ip",
    "date": ":date",
}
"""How the table writes the types that are single values."""


def main() -> int:
    """Write the table."""
    TARGET.write_text(render(pathlib.Path(sys.argv[1])))
    return 0


def render(source: pathlib.Path) -> str:
    """The table."""
    with source.open(newline="") as file:
        types = {row["field"]: row["type"] for row in csv.DictReader(file)}
    objects: dict[str, list[str]] = collections.defaultdict(list)
    for name, kind in sorted(types.items()):
        group, _, leaf = name.rpartition(".")
        if kind in VALUES and types.get(group) not in VALUES:
            objects[group or "."].append(leaf + VALUES[kind])
    return "".join(f"{group} {' '.join(leaves)}\n" for group, leaves in sorted(objects.items()))


if __name__ == "__main__":
    sys.exit(main())
