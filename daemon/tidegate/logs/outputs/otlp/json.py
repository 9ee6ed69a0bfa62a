"""Log records as `ExportLogsServiceRequest` in OTLP's JSON: 64-bit numbers are texts, ids are hexadecimal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

import tidegate
from tidegate.logs.outputs.otlp import records

TYPE = "application/json"


def encode(groups: Mapping[records.Attributes, list[records.Record]]) -> bytes:
    """The request."""
    scope = {"name": "tidegate", "version": tidegate.__version__}
    resources = [
        {
            "resource": {"attributes": _attributes(origin)},
            "scopeLogs": [{"scope": scope, "logRecords": [_record(one) for one in found]}],
        }
        for origin, found in groups.items()
    ]
    return orjson.dumps({"resourceLogs": resources})


def partial(body: bytes) -> tuple[int, str]:
    """How many records the receiver refused, and why. Raises `ValueError` for what is no answer."""
    answer = orjson.loads(body) if body else {}
    told = answer.get("partialSuccess") if isinstance(answer, dict) else None
    if not isinstance(told, dict):
        if isinstance(answer, dict):
            return 0, ""
        raise ValueError("the answer is no JSON object")
    return int(told.get("rejectedLogRecords") or 0), str(told.get("errorMessage") or "")


def _record(one: records.Record) -> dict[str, Any]:
    made: dict[str, Any] = {"attributes": _attributes(one.attributes)}
    if one.at:
        made["timeUnixNano"] = str(one.at)
    if one.observed:
        made["observedTimeUnixNano"] = str(one.observed)
    if one.severity:
        made["severityNumber"] = one.severity
    if one.level:
        made["severityText"] = one.level
    if one.body is not None:
        made["body"] = _value(one.body)
    if one.trace:
        made["traceId"] = one.trace.hex()
    if one.span:
        made["spanId"] = one.span.hex()
    return made


def _attributes(pairs: Iterable[tuple[str, records.Value]]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in pairs]


def _value(value: records.Value) -> dict[str, Any]:
    """An `AnyValue`."""
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        # A number that no int64 holds is kept as text.
        return {"intValue": str(value)} if -(2**63) <= value < 2**63 else {"stringValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return _several(value)


def _several(value: records.Value) -> dict[str, Any]:
    """An `AnyValue` of a list or a map; an empty one for anything else."""
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"kvlistValue": {"values": _attributes(value.items())}} if isinstance(value, dict) else {}
