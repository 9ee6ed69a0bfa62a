"""One step of relabelling, as it was written: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config.

Data only; `kit.relabel` checks and runs it.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeAlias

Action: TypeAlias = Literal[
    "replace",
    "keep",
    "drop",
    "keepequal",
    "dropequal",
    "hashmod",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
]
DEFAULT_SEPARATOR, DEFAULT_REGEX, DEFAULT_REPLACEMENT = ";", "(.*)", "$1"


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step."""

    action: Action = "replace"
    source_labels: tuple[str, ...] = ()
    separator: str = DEFAULT_SEPARATOR
    regex: str = DEFAULT_REGEX
    modulus: int = 0
    target_label: str = ""
    replacement: str = DEFAULT_REPLACEMENT
    legacy_names: bool = False
    """Whether labels must have classic names."""


Steps: TypeAlias = tuple[Step, ...]
