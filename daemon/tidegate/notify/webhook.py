"""The webhook receiver: Alertmanager's JSON, version 4, to any URL.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. Two requests with the same `Idempotency-Key` are
the same message: the second came because we could not know that the first arrived.
"""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import orjson
import pydantic

from tidegate.kit import http
from tidegate.model import alerts, settings
from tidegate.notify import integration, message

TIMEOUT = 10.0
NEVER = "0001-01-01T00:00:00Z"


class Config(integration.Config):
    """An entry of `webhook_configs`."""

    url: pydantic.SecretStr | None = None
    """Where to POST; treated as a secret, since many carry a token."""
    url_file: str | None = None
    """A file with the URL."""
    max_alerts: int = pydantic.Field(default=0, ge=0)
    """Alerts of one message; 0 is no limit. What is left out is counted in `truncatedAlerts`."""
    timeout: settings.Duration = 0.0
    """Seconds for one request; 0 is 10 s."""


class Webhook:
    """Posts the payload."""

    def __init__(self, config: Config, url: str) -> None:
        self._config = config
        self._url = url
        self._http: http.Client | None = None

    async def send(self, notification: alerts.Notification, key: str) -> str:
        """POST it."""
        if self._http is None:
            self._http = await asyncio.to_thread(http.client, timeout=self._config.timeout or TIMEOUT)
        body = payload(notification, self._config.max_alerts, send_resolved=self._config.send_resolved)
        with integration.scrubbed(self._url):
            await http.post(self._http, self._url, json=body, headers={"idempotency-key": key})
        return ""

    def reading(self, notification: alerts.Notification) -> integration.Reading:
        """See `integration.Readable`: the body, since programs read it."""
        body = payload(notification, self._config.max_alerts, send_resolved=self._config.send_resolved)
        text = orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
        return integration.Reading(message.title(notification, send_resolved=self._config.send_resolved), f"{text}\n")

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()


def payload(notification: alerts.Notification, max_alerts: int, *, send_resolved: bool) -> dict[str, Any]:
    """Alertmanager's body."""
    told = [item.alert for item in notification.alerts if send_resolved or item.alert.state == "firing"]
    shown = told[:max_alerts] if max_alerts else told
    return {
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": len(told) - len(shown) + notification.truncated,
        "status": "firing" if any(alert.state == "firing" for alert in told) else "resolved",
        "receiver": notification.receiver,
        "groupLabels": dict(notification.group_labels),
        "commonLabels": dict(message.shared([alert.labels for alert in told])),
        "commonAnnotations": dict(message.shared([alert.annotations for alert in told])),
        "externalURL": notification.external_url,
        "alerts": [_alert(alert) for alert in shown],
    }


def _alert(alert: alerts.Alert) -> dict[str, Any]:
    over = alert.state != "firing"
    return {
        "status": "resolved" if over else "firing",
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": _time(alert.fired_at or alert.active_at),
        "endsAt": _time(alert.resolved_at) if over else NEVER,
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
    }


def _time(at: float) -> str:
    text = datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
