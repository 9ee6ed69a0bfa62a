"""From addresses to targets: what one `scrape_configs` entry makes of `host:port` and labels.

Prometheus' rules: `__address__` gets a port where it has none, `instance` is the address, `job` the job's name. Where the
addresses come from (settings, files, DNS) is not known here.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping

from tidegate.model import labels as labels_
from tidegate.model import settings, targets

PORTS = {"http": 80, "https": 443}


def target(address: str, labels: Mapping[str, str], job: settings.Job, defaults: settings.Scrape) -> targets.Target:
    """One target. Raises `ValueError` when the address is none."""
    interval = job.scrape_interval or defaults.interval
    timeout = min(job.scrape_timeout or defaults.timeout, interval)
    host = with_port(address, PORTS[job.scheme])
    query = urllib.parse.urlencode(job.params, doseq=True)
    token = job.bearer_token.get_secret_value() if job.bearer_token else ""
    return targets.Target(
        job=job.job_name,
        url=urllib.parse.urlunsplit((job.scheme, host, job.metrics_path, query, "")),
        labels=labels_.make({"job": job.job_name, "instance": host, **labels}),
        discovered=labels_.make({"__address__": address, "__scheme__": job.scheme, **labels}),
        interval=interval,
        timeout=timeout,
        honor_labels=job.honor_labels,
        honor_timestamps=job.honor_timestamps,
        body_limit=job.body_size_limit,
        sample_limit=job.sample_limit,
        headers=(("authorization", f"Bearer {token}"),) if token else (),
        verify_tls=not job.insecure_skip_verify,
    )


def with_port(address: str, port: int) -> str:
    """`host:port`, with a port added where there is none. Raises `ValueError` when it is no address."""
    if not address or any(char in address for char in "/?#@ \t\n"):
        raise ValueError(f"{address!r} is not an address such as shop:8080")
    parts = urllib.parse.urlsplit(f"//{address}")
    if not parts.hostname:
        raise ValueError(f"{address!r} has no host")
    return address if parts.port is not None else f"{address.rstrip(':')}:{port}"


def written(scrape: settings.Scrape) -> list[targets.Target]:
    """The targets of all `static_configs`. Raises `ValueError`."""
    return [
        target(address, group.labels, job, scrape)
        for job in scrape.jobs
        for group in job.static_configs
        for address in group.targets
    ]
