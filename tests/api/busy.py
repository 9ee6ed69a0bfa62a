"""A world with a lot going on, as a team's own could look: for the browser tests and for screenshots."""

from __future__ import annotations

import dataclasses

from tests.api import world
from tests.gate import fakes
from tidegate.model import alerts, gate, labels, logs, ports, rules, settings, targets

NOW = fakes.NOW
TRACE = """Traceback (most recent call last):
  File "/srv/shop/checkout.py", line 118, in reserve
    connection = pool.acquire(timeout=2.0)
psycopg.OperationalError: connection to server at "orders-db" (10.4.2.17), port 5432 failed: Connection refused"""


def busy() -> world.World:
    """Two alerts fire, one is silenced, one is pending; a target is down; a rule fails."""
    found = world.World(
        given=settings.Gate.model_validate(
            {
                "environments": {"production": {"soak": "15m"}, "staging": {}},
                "default_environment": "production",
                "service_labels": ["service", "job"],
            }
        ),
        web=settings.Web(open_writes=True),
    )
    found.book.alerts = _alerts()
    found.silence_all("alertname=DiskFillingUp")
    found.silences.found = {"s1": _silence()}
    found.targets.found = _targets()
    found.rules.found = _groups()
    found.ledger.found = _deploys()
    found.logs.lines = _lines()
    found.sent.found = _sent()
    found.streams.found = [
        ports.StreamStatus("/var/log/containers/shop-*.log", "file", 0, 0.4, 148_211),
        ports.StreamStatus("/var/log/containers/cart-*.log", "file", 0, 0.2, 90_418),
        ports.StreamStatus("elasticsearch", "output", 2_411_724, 7.0, 238_629),
    ]
    return found


def _alert(name: str, summary: str, value: float, *, since: float, log_query: str = "", **more: str) -> alerts.Alert:
    made = fakes.alert(name, state="firing", at=NOW - since, **more)
    return dataclasses.replace(
        made,
        annotations=labels.make(summary=summary, runbook_url="https://runbooks.example/" + name.lower()),
        value=value,
        peak=value * 1.3,
        log_query=log_query,
    )


def _alerts() -> list[alerts.Alert]:
    pending = _alert(
        "CartQueueGrowing",
        "The cart's queue grows: 1,204 orders wait.",
        1204,
        since=45,
        service="cart",
        severity="warning",
    )
    return [
        _alert(
            "ShopErrors",
            "41.7 % of the shop's answers are errors.",
            0.4167,
            since=762,
            log_query="service:shop and level:error",
            team="storefront",
        ),
        _alert(
            "ShopSlow",
            "The 95th percentile of /checkout is 2.31 s.",
            2.31,
            since=540,
            severity="warning",
            path="/checkout",
        ),
        _alert(
            "DiskFillingUp",
            "orders-db-0 has 4 h until its disk is full.",
            0.08,
            since=18_400,
            service="orders-db",
            severity="warning",
            instance="orders-db-0:9100",
        ),
        dataclasses.replace(pending, state="pending", fired_at=0.0),
        dataclasses.replace(
            fakes.alert("StagingErrors", state="resolved", service="shop", environment="staging"),
            resolved_at=NOW - 4000,
        ),
    ]


def _silence() -> alerts.Silence:
    matcher = (alerts.Matcher("alertname", "=", "DiskFillingUp"), alerts.Matcher("service", "=", "orders-db"))
    return alerts.Silence("s1", matcher, NOW - 3600, NOW + 7600, "mara", "volume is being grown, OPS-2214", NOW - 3600)


def _targets() -> list[targets.TargetStatus]:
    found = []
    for service, count, environment in (
        ("shop", 3, "production"),
        ("cart", 2, "production"),
        ("orders-db", 1, "production"),
        ("shop", 1, "staging"),
    ):
        for number in range(count):
            host = f"{service}-{number}.{environment}.svc:9321"
            one = fakes.target(host, age=3.0 + number, job=service, service=service, environment=environment)
            found.append(dataclasses.replace(one, target=dataclasses.replace(one.target, job=service)))
    found[2] = dataclasses.replace(found[2], health="down", error="connect ECONNREFUSED 10.4.1.22:9321")
    stale = fakes.target("search-0.production.svc:9200", age=340.0, job="search", service="search")
    found.append(
        dataclasses.replace(
            stale, health="down", error="timed out after 10 s", target=dataclasses.replace(stale.target, job="search")
        )
    )
    return found


def _groups() -> list[ports.GroupStatus]:
    shop = [fakes.rule("ShopErrors", service="shop"), fakes.rule("ShopSlow", severity="warning", service="shop")]
    broken = fakes.rule("SearchLatency", health="err", error="many-to-many matching not allowed", service="search")
    recording = ports.RuleStatus(
        rules.RecordingRule("job:http_requests:rate5m", "sum by (job) (rate(http_requests_total[5m]))"), "ok"
    )
    return [
        fakes.group(*shop, recording, name="shop"),
        fakes.group(fakes.rule("CartQueueGrowing", severity="warning", service="cart"), name="cart", age=8),
        fakes.group(
            fakes.rule("DiskFillingUp", severity="warning"),
            fakes.rule("TargetDown", severity="warning"),
            name="machines",
            age=11,
        ),
        fakes.group(broken, name="search", age=5),
    ]


def _deploys() -> list[gate.Deploy]:
    run = "https://ci.example/storefront/runs/"
    return [
        gate.Deploy("5", "production", "cart", "2.8.0", NOW - 400, direction="forward", by="github", url=run + "8812"),
        gate.Deploy("4", "production", "shop", "1.4.2", NOW - 1180, direction="forward", by="github", url=run + "8809"),
        gate.Deploy("3", "staging", "shop", "1.4.2", NOW - 9100, direction="forward", by="github", url=run + "8801"),
        gate.Deploy("2", "production", "orders-db", "16.4", NOW - 86_000, direction="config", by="argo"),
        gate.Deploy(
            "1", "production", "shop", "1.3.9", NOW - 190_000, direction="rollback", by="mara", url=run + "8740"
        ),
    ]


def _lines() -> list[logs.LogLine]:
    written = [
        (1, "error", "shop", f"POST /checkout failed after 2004 ms\n{TRACE}"),
        (2, "info", "shop", 'GET /items/1182 200 12ms "Mozilla/5.0 (X11; Linux x86_64)"'),
        (3, "warning", "cart", "queue depth 1204 above 1000, consumer lag 41 s"),
        (5, "error", "shop", "upstream connect error: connection refused: orders-db:5432"),
        (6, "info", "cart", "order 99812 accepted total=48.20 currency=EUR"),
        (8, "info", "shop", "GET /healthz 200 1ms"),
        (9, "error", "shop", f"POST /checkout failed after 2001 ms\n{TRACE}"),
        (12, "debug", "search", "segment merge finished in 812 ms, 14 segments left"),
        (13, "info", "shop", "GET / 200 9ms"),
        (17, "info", "orders-db", "checkpoint complete: wrote 4121 buffers (25.2%); 0 WAL file(s) added"),
        (18, "warning", "shop", "retrying reserve(order=99809) attempt=2 backoff=400ms"),
        (21, "info", "cart", "order 99811 accepted total=12.90 currency=EUR"),
    ]
    return [
        logs.LogLine(NOW - age, message, level, service, "/var/log/containers/x.log")
        for age, level, service, message in written
    ]


def _sent() -> list[alerts.Sent]:
    return [
        alerts.Sent(
            "3", "storefront", "slack[0]", "delivered", "[FIRING:2] shop: ShopErrors, ShopSlow", 1, NOW - 530, NOW - 529
        ),
        alerts.Sent(
            "2", "storefront", "email[0]", "delivered", "[FIRING:2] shop: ShopErrors, ShopSlow", 1, NOW - 530, NOW - 528
        ),
        alerts.Sent(
            "4",
            "on-call",
            "pagerduty[0]",
            "waiting",
            "[FIRING:1] shop: ShopErrors",
            3,
            NOW - 500,
            NOW - 60,
            "HTTP 503: upstream unavailable",
        ),
        alerts.Sent(
            "1",
            "storefront",
            "slack[0]",
            "delivered",
            "[RESOLVED] staging shop: StagingErrors, after 6 min",
            1,
            NOW - 3990,
            NOW - 3990,
        ),
    ]
