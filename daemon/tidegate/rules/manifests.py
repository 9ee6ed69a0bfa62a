"""Where the rules stand in a YAML file: a plain rule file, or `PrometheusRule` manifests (prometheus-operator).

Manifests may stand in a `List` and in several documents of one file; a plain rule file is one document, as in Prometheus.
Each manifest has group names of its own, as the operator writes a file for each.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

from tidegate.kit import yamlfile
from tidegate.model import problems

KIND = "PrometheusRule"
LISTS = ("List", "PrometheusRuleList")


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One rule file, or what stands for one."""

    document: yamlfile.Document
    value: Any
    root: tuple[str | int, ...] = ()
    """Path of the value in the document."""
    file: str = ""
    """Name of the file in the keys of its groups."""


def read(path: pathlib.Path, shown: str) -> list[Part]:
    """What a file holds. Raises `ConfigError`."""
    documents = yamlfile.read_all(path, shown)
    if len(documents) > 1 and not all(_manifest(one.value) for one in documents):
        documents = [yamlfile.read(path, shown)]  # says that there are several documents, and where
    parts = [part for document in documents for part in _parts(document)]
    if len(parts) == 1:
        return [dataclasses.replace(parts[0], file=shown)]
    return parts


def _manifest(value: Any) -> bool:
    return isinstance(value, dict) and "kind" in value and "apiVersion" in value


def _parts(document: yamlfile.Document) -> Iterator[Part]:
    value = document.value
    if isinstance(value, dict) and value.get("kind") in LISTS and isinstance(value.get("items"), list):
        for number, item in enumerate(value["items"]):
            yield _part(document, item, ("items", number))
    elif _manifest(value) or (isinstance(value, dict) and value.get("kind") == KIND):
        yield _part(document, value, ())
    else:
        yield Part(document, value, (), document.file)


def _part(document: yamlfile.Document, item: Any, at: tuple[str | int, ...]) -> Part:
    kind = item.get("kind") if isinstance(item, dict) else None
    if kind != KIND:
        hint = "keep only the PrometheusRule manifests in this file"
        raise problems.ConfigError(
            [document.problem("rule-wrong-value", f"a manifest of kind {kind!r} holds no rules", at, hint=hint)]
        )
    metadata = item.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    name = "/".join(str(named[key]) for key in ("namespace", "name") if named.get(key))
    return Part(document, item.get("spec") or {}, (*at, "spec"), f"{document.file}:{name}")
