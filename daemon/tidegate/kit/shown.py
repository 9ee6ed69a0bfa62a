"""The settings in force as YAML that anybody may see: what differs from the defaults, without secrets.

Receivers are shown by name and kind only: their fields are checked elsewhere, so that it is not known here which of them
are secret.
"""

from __future__ import annotations

from typing import Any

import yaml

from tidegate.model import settings

SECRET = "<secret>"  # noqa: S105 - what stands in a secret's place
_HIDDEN = "**********"  # how pydantic writes a SecretStr


def text(given: settings.Settings) -> str:
    """The settings as YAML."""
    values = given.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if "receivers" in values.get("alerts", {}):
        values["alerts"]["receivers"] = [_receiver(one) for one in values["alerts"]["receivers"]]
    return str(yaml.safe_dump(_without_secrets(values), sort_keys=False, allow_unicode=True))


def _receiver(given: dict[str, Any]) -> dict[str, Any]:
    kinds = [name for name in given if name != "name"]
    return {"name": given["name"], **{kind: f"({len(given[kind])} not shown)" for kind in kinds}}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_secrets(part) for part in value]
    return SECRET if value == _HIDDEN else value
