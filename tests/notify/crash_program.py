"""The whole way of an alert in a process of its own, which kills itself with SIGKILL at a chosen point.

Usage: `crash_program.py DATABASE URL STATE KILL`, where STATE is `firing`, `resolved` or `-` (nothing is put) and KILL names
the point, or is `never`. When it is not killed it ends once there has been nothing to do for a while.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import sys
from collections.abc import Collection, Sequence
from typing import Literal

from tidegate.alerts import book, dispatch, routing, silences
from tidegate.alerts import store as alert_store
from tidegate.kit import clock, database, tasks, telemetry, yamlfile
from tidegate.model import alerts, labels, settings
from tidegate.notify import integration, outbox, receivers
from tidegate.notify import store as outbox_store

YAML = """
alerts:
  route: {{receiver: hook, group_by: [service], group_wait: 0s, group_interval: 100ms}}
  receivers: [{{name: hook, webhook_configs: [{{url: '{url}'}}]}}]
"""
Kill = Literal["before_commit", "after_commit", "before_delivery", "after_delivery", "never"]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Sink:
    """The outbox, with a trap on either side of the commit."""

    def __init__(self, inner: outbox.Outbox, kill: str) -> None:
        self._inner, self._kill = inner, kill

    def integrations(self, receiver: str) -> Sequence[integration.Integration]:
        return self._inner.integrations(receiver)

    def put(
        self, connection: database.Connection, notification: alerts.Notification, integrations: Collection[str]
    ) -> None:
        self._inner.put(connection, notification, integrations)
        if self._kill == "before_commit":
            die()

    def wake(self) -> None:
        if self._kill == "after_commit":
            die()
        self._inner.wake()


class Sender:
    """The real receiver, with a trap on either side of the delivery."""

    def __init__(self, inner: integration.Sender, kill: str) -> None:
        self._inner, self._kill = inner, kill

    async def send(self, notification: alerts.Notification, key: str) -> str:
        if self._kill == "before_delivery":
            die()
        note = await self._inner.send(notification, key)
        if self._kill == "after_delivery":
            die()
        return note

    async def close(self) -> None:
        await self._inner.close()


async def main(path: str, url: str, state: str, kill: str) -> None:
    text = YAML.format(url=url)
    document = yamlfile.Document(text, "tidegate.yaml")
    given = settings.Alerts.model_validate(document.value["alerts"])
    opened = database.Database(database.sqlite_url(pathlib.Path(path)))
    opened.create(alert_store.METADATA, outbox_store.METADATA)
    time, registry = clock.SystemClock(), telemetry.Registry()
    built = receivers.build(given, document, pathlib.Path(path).parent)
    hook = built["hook"][0]
    wrapped = integration.Integration(hook.kind, hook.index, Sender(hook.sender, kill), hook.send_resolved)
    sender = outbox.Outbox({"hook": (wrapped,)}, opened, time, registry)
    muting = silences.Silences(opened, time, registry, 3600)
    held = book.Book(opened, time, registry, muting)
    tree = routing.build(given, document)
    dispatcher = dispatch.Dispatcher(held, muting, tree, Sink(sender, kill), opened, time, registry)
    if state != "-":
        await held.put([alert(held, state, time.now())])
    parts = [asyncio.create_task(part()) for part in (sender.run, dispatcher.run, held.run)]
    await quiet(dispatcher, sender, registry, time)
    await sender.close()
    await tasks.cancel(*parts)
    opened.close()


def alert(held: book.Book, state: str, now: float) -> alerts.Alert:
    of = labels.make(alertname="ShopDown", service="shop")
    before = held.get(labels.fingerprint(of))
    since = before.active_at if before else now
    return alerts.Alert(
        of,
        "firing" if state == "firing" else "resolved",
        "rules.yaml;shop;ShopDown",
        active_at=since,
        fired_at=since,
        resolved_at=0.0 if state == "firing" else now,
        last_seen=now,
    )


async def quiet(
    dispatcher: dispatch.Dispatcher, sender: outbox.Outbox, registry: telemetry.Registry, time: clock.SystemClock
) -> None:
    """Until every group was looked at three more times with nothing left to deliver."""
    looks = 0
    while looks < 3:
        await time.sleep(0.12)
        depth = registry.get_sample_value("tidegate_outbox_depth")
        waiting = [sent for sent in sender.recent(100) if sent.state in ("waiting", "sending")]
        looks = 0 if depth or waiting else looks + 1
    assert all(group.next_at for group in dispatcher.groups())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
