"""A thousand rules per cycle, against a real Prometheus with the same rules and samples: `python -m benchmarks.bench_rules`.

The rules are those of kube-prometheus (where the shared conformance data is), our packs, and as many aggregations over
100,000 series as it takes. Compared is the CPU time (user and system) of the process for each cycle, less what the same
process needs without rules. Both run in real time, one after the other, each on samples that end when it starts.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

import yaml

from benchmarks import bench_promql
from tests.services import prometheus
from tidegate import schedule
from tidegate.alerts import book, silences
from tidegate.alerts import store as alert_store
from tidegate.kit import clock, database, tasks, telemetry
from tidegate.logs import kql
from tidegate.metrics import store as store_
from tidegate.metrics.promql import engine
from tidegate.rules import load, manager

ROOT = pathlib.Path(__file__).parents[1]
FOREIGN = ROOT.parent / "shared/conformance/rules/kube-prometheus"
RULES, CYCLE, CYCLES = 1000, 10.0, 6
JOBS, WIDTH = 100, 1000
IDLE = 10.0
DATA = bench_promql.Data(JOBS, 40, 15_000, lambda target: bench_promql.requests(target, WIDTH), bench_promql.counters)


def groups(wanted: int = RULES) -> list[dict[str, object]]:
    """All groups, each to be evaluated once a cycle; aggregations fill up to so many rules."""
    found: list[dict[str, object]] = []
    for path in [*sorted(FOREIGN.glob("*.yaml")), *sorted((ROOT / "rules").glob("*.yaml"))]:
        document = yaml.safe_load(path.read_text())
        for group in document.get("spec", document).get("groups", []):
            rules = [{key: rule[key] for key in rule if key in KEPT} for rule in group["rules"]]
            found.append({"name": f"{path.stem}/{group['name']}", "interval": f"{CYCLE:g}s", "rules": rules})
    missing = wanted - sum(len(group["rules"]) for group in found)  # type: ignore[arg-type, misc]
    return found + [filling(number) for number in range(0, missing, 10)]


KEPT = frozenset({"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"})


def filling(number: int) -> dict[str, object]:
    """Ten aggregations, each over the thousand series of one target."""
    rules = [
        {
            "record": f"host:requests:rate{number + n}",
            "expr": f'sum by (job) (rate(http_requests_total{{instance="host-{(number + n) % JOBS}:80"}}[5m]))',
        }
        for n in range(10)
    ]
    return {"name": f"filling-{number}", "interval": f"{CYCLE:g}s", "rules": rules}


def cpu(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spent(pid: int, seconds: float) -> float:
    """CPU seconds while waiting."""
    before = cpu(pid)
    time.sleep(seconds)
    return cpu(pid) - before


def ending_now() -> bench_promql.Data:
    """The samples, moved so that the last row is of now."""
    shift = int(time.time() * 1000) - DATA.rows * DATA.interval - bench_promql.START_MS

    class Moved(bench_promql.Data):
        def times(self, target: int):  # type: ignore[no-untyped-def]
            return bench_promql.Data.times(self, target) + shift

    return Moved(**{field.name: getattr(DATA, field.name) for field in dataclasses.fields(DATA)})


def theirs(rules: pathlib.Path, folder: pathlib.Path) -> float:
    """Prometheus' CPU seconds for a cycle."""
    blocks = bench_promql.blocks(ending_now(), folder)
    base = f"global: {{evaluation_interval: {CYCLE:g}s}}\n"
    with prometheus.running(base, data=blocks) as server:
        time.sleep(2)
        idle = spent(server.pid, IDLE) / IDLE
        server.reload(f"{base}rule_files: [{rules}]\n")
        time.sleep(CYCLE)
        return spent(server.pid, CYCLE * CYCLES) / CYCLES - idle * CYCLE


def ours(rules: pathlib.Path, folder: pathlib.Path) -> float:
    """Our CPU seconds for a cycle, in this process."""
    data, registry, now = ending_now(), telemetry.Registry(), clock.SystemClock()
    kept = store_.Store(folder / "samples", now, registry, retention=data.rows * data.interval / 1000)
    bench_promql.fill(kept, data)
    return asyncio.run(_evaluated(rules, kept, folder, registry))


async def _evaluated(
    rules: pathlib.Path, kept: store_.Store, folder: pathlib.Path, registry: telemetry.Registry
) -> float:
    now, made = clock.SystemClock(), engine.Engine(kept)
    state = database.Database(database.sqlite_url(folder / "state.db"))
    state.create(alert_store.METADATA)
    quiet = silences.Silences(state, now, registry, 3600)
    alerts = book.Book(state, now, registry, quiet, 900)
    ticking = schedule.Scheduler(now, registry)
    running = manager.RuleManager(made, kept, alerts, ticking, now, registry, tasks.Supervisor(now, registry))
    ticking.start()
    work = asyncio.create_task(running.run())
    idle = await _waited(IDLE) / IDLE
    loaded = load.load([(rules, rules.name)], load.Checks(made, kql.check, CYCLE))
    running.set_rules(loaded, external_url="", external_labels={}, resolved_retention=900)
    await asyncio.sleep(CYCLE)
    found = await _waited(CYCLE * CYCLES) / CYCLES - idle * CYCLE
    failed = [each.error for one in running.groups() for each in one.rules if each.health != "ok"]
    if failed:
        raise RuntimeError(f"{len(failed)} rules failed: {failed[:3]}")
    await tasks.cancel(work)
    ticking.stop()
    return found


async def _waited(seconds: float) -> float:
    before = cpu(os.getpid())
    await asyncio.sleep(seconds)
    return cpu(os.getpid()) - before


def measured(what: Callable[[pathlib.Path, pathlib.Path], float], rules: pathlib.Path) -> float:
    """CPU seconds for a cycle, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return what(rules, pathlib.Path(folder))


def main() -> int:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder) / "rules.yaml"
        all_groups = groups()
        rules.write_text(yaml.safe_dump({"groups": all_groups}))
        number = sum(len(group["rules"]) for group in all_groups)  # type: ignore[misc,arg-type]
        print(f"{number} rules in {len(all_groups)} groups, {JOBS * WIDTH:,} series, {CYCLES} cycles of {CYCLE:g} s")
        mine = measured(ours, rules)
        peer = measured(theirs, rules)
    print(f"CPU seconds a cycle: {mine:.3f} ours, {peer:.3f} Prometheus, ratio {peer / mine:.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
