"""Notifications to send, and integrations that do as they are told."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence

from tidegate.model import alerts, labels, logs, problems
from tidegate.notify import integration

NOW = 1_700_000_000.0
"""2023-11-14 22:13:20 UTC."""


def firing(name: str = "ShopErrors", **more: str) -> alerts.Alert:
    return alerts.Alert(
        labels.make(
            {"alertname": name, "severity": "critical", "service": "shop", "environment": "production", **more}
        ),
        "firing",
        f"rules/shop.yaml;shop;{name}",
        annotations=labels.make(
            summary="One in ten orders fails & <nobody> can pay",
            description="The payment backend refuses connections.",
            runbook_url="https://runbooks.test/shop?a=1&b=2",
        ),
        active_at=NOW - 750,
        fired_at=NOW - 450,
        last_seen=NOW - 5,
        value=0.10437,
        peak=0.213,
        generator_url="/graph?g0.expr=shop_errors",
        log_query="service.name:shop and level:error",
    )


def resolved(name: str = "ShopErrors", **more: str) -> alerts.Alert:
    return dataclasses.replace(firing(name, **more), state="resolved", resolved_at=NOW - 20)


LINES = (
    logs.LogLine(NOW - 7, "payment refused: connect to 10.0.0.7:5432 <refused>", "error", "shop", "/var/log/shop.log"),
    logs.LogLine(NOW - 9, "order 4711 failed\n  at pay()\n  at main()", "error", "shop"),
)


def notification(
    *items: alerts.Alert, id_: str = "0123456789abcdef", receiver: str = "team", group: str = "shop"
) -> alerts.Notification:
    chosen = items or (firing(),)
    return alerts.Notification(
        id=id_,
        receiver=receiver,
        group_key=f'{{}}:{{service="{group}"}}',
        group_labels=(("service", group),),
        alerts=tuple(alerts.NotifiedAlert(alert, LINES if alert.state == "firing" else ()) for alert in chosen),
        created_at=NOW,
        external_url="https://tidegate.test",
    )


@dataclasses.dataclass
class Fake:
    """A sender that follows a script; when the script is over, all is well."""

    script: list[BaseException | float | str] = dataclasses.field(default_factory=list)
    sent: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """(notification id, key) of each that was delivered."""
    tried: list[float] = dataclasses.field(default_factory=list)
    now: Callable[[], float] = lambda: 0.0
    most: int = 0
    under_way: int = 0
    closed: bool = False

    async def send(self, notification: alerts.Notification, key: str) -> str:
        self.tried.append(self.now())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            step = self.script.pop(0) if self.script else ""
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            self.sent.append((notification.id, key))
            return step if isinstance(step, str) else ""
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        self.closed = True


def integrations(*senders: integration.Sender, receiver: str = "team") -> dict[str, Sequence[integration.Integration]]:
    return {receiver: tuple(integration.Integration("fake", n, sender, True) for n, sender in enumerate(senders))}


def transient(after: float | None = None) -> problems.TransientError:
    return problems.TransientError("come back later", after=after, reason="rate_limited")
