"""From discovered labels to targets: Prometheus' rules of what one `scrape_configs` entry makes of an address.

Labels of the target win over those of its group; `__address__`, `__scheme__`, `__metrics_path__`, `__param_*`,
`__scrape_interval__` and `__scrape_timeout__` can be changed by relabelling; `__meta_*` is there for it only. Where
addresses come from is not known here. Source: `scrape/target.go` of Prometheus 3 (which adds no default port).
"""

from __future__ import annotations

import dataclasses
import pathlib
import urllib.parse
from collections.abc import Mapping

from tidegate.discovery import probed
from tidegate.kit import access, relabel
from tidegate.model import client as client_
from tidegate.model import labels as labels_
from tidegate.model import probing, relabelling, scraping, section, targets

Discovered = tuple[Mapping[str, str], Mapping[str, str]]
"""Labels of one target, `__address__` among them, and labels of its group."""
META, PARAM, RESERVED = "__meta_", "__param_", "__"
HERE = pathlib.Path()
NO_PROBES = probing.Probes()
NO_ADDRESS = frozenset("/?#@ \t\n")


class Builder:
    """Makes the targets of one job."""

    def __init__(
        self,
        job: scraping.Job,
        defaults: scraping.Scrape,
        folder: pathlib.Path = HERE,
        probes: probing.Probes = NO_PROBES,
    ) -> None:
        """Files are relative to `folder`. Raises `ValueError` for a relabelling step that makes no sense."""
        self.job = job
        self._folder, self._probes = folder, probes
        self._relabelling = relabel.Relabelling(
            [one.step(legacy_names=job.legacy_names) for one in job.relabel_configs]
        )
        steps = tuple(one.step(legacy_names=job.legacy_names) for one in job.metric_relabel_configs)
        relabel.Relabelling(steps)
        self._target_limit = job.target_limit or defaults.target_limit
        self._kept = job.keep_dropped_targets or defaults.keep_dropped_targets
        self._defaults = self._own_labels(defaults)
        client = access.resolved(job.client(), folder)
        self._template = _template(job, defaults, steps, dataclasses.replace(client, compressed=job.enable_compression))

    def found(self, discovered: list[Discovered]) -> tuple[targets.Found, list[str]]:
        """The targets of what was discovered, each once, and what is wrong with the others."""
        made: list[targets.Target] = []
        dropped: list[targets.Dropped] = []
        wrong = []
        for own, group in discovered:
            try:
                one = self.target(own, group)
            except ValueError as error:
                wrong.append(str(error))
                continue
            if isinstance(one, targets.Target):
                made.append(one)
            else:
                dropped.append(one)
        kept = dropped[: self._kept] if self._kept else dropped
        counts = {self.job.job_name: len(dropped)} if dropped else {}
        return targets.Found(self._limited(tuple(dict.fromkeys(made))), tuple(kept), counts), wrong

    def target(self, own: Mapping[str, str], group: Mapping[str, str]) -> targets.Target | targets.Dropped:
        """One target. Raises `ValueError` when it cannot be scraped."""
        labels = {name: value for name, value in {**group, **own}.items() if value}
        labels = {**self._defaults, **labels}
        discovered = labels_.make(labels)
        if not self._relabelling.apply(labels):
            return targets.Dropped(self.job.job_name, discovered)
        probe = probed.probe(labels, self.job, self._probes, self._folder) if self.job.probe else None
        host = probe.address if probe else address(labels.get("__address__", ""))
        interval, timeout = _times(labels)
        labels.setdefault("instance", host)
        public = {name: value for name, value in labels.items() if not name.startswith(RESERVED)}
        return dataclasses.replace(
            self._template,
            url=probed.url(probe) if probe else self._url(labels, host),
            labels=labels_.make(public),
            discovered=discovered,
            interval=interval,
            timeout=timeout,
            probe=probe,
        )

    def _url(self, labels: Mapping[str, str], host: str) -> str:
        params = {name: list(values) for name, values in self.job.params.items()}
        for name, value in labels.items():
            if name.startswith(PARAM):
                params.setdefault(name.removeprefix(PARAM), [])[:1] = [value]
        query = urllib.parse.urlencode(sorted(params.items()), doseq=True)
        path = urllib.parse.quote(labels.get("__metrics_path__", ""), safe="/%:@!$&'()*+,;=~-._")
        return urllib.parse.urlunsplit((labels.get("__scheme__", "http"), host, path, query, ""))

    def _own_labels(self, defaults: scraping.Scrape) -> dict[str, str]:
        job = self.job
        interval = job.scrape_interval or defaults.interval
        timeout = job.scrape_timeout or min(defaults.timeout, interval)
        own = {
            "job": job.job_name,
            "__scrape_interval__": section.duration(interval),
            "__scrape_timeout__": section.duration(timeout),
            "__metrics_path__": job.metrics_path,
            "__scheme__": job.scheme,
            "__convert_classic_histograms_to_nhcb__": "false",
            "__always_scrape_classic_histograms__": str(bool(job.always_scrape_classic_histograms)).lower(),
            "__scrape_native_histograms__": "false",
        }
        return own | {PARAM + name: values[0] for name, values in job.params.items() if values}

    def _limited(self, made: tuple[targets.Target, ...]) -> tuple[targets.Target, ...]:
        if not self._target_limit or len(made) <= self._target_limit:
            return made
        why = f"target_limit exceeded (number of targets: {len(made)}, limit: {self._target_limit})"
        return tuple(dataclasses.replace(one, refused=why) for one in made)


def _template(
    job: scraping.Job, given: scraping.Scrape, steps: relabelling.Steps, client: client_.Client
) -> targets.Target:
    """What all targets of a job have in common."""
    limits = targets.Limits(
        body=given.body_size_limit if job.body_size_limit is None else job.body_size_limit,
        samples=job.sample_limit or given.sample_limit,
        labels=job.label_limit or given.label_limit,
        name_length=job.label_name_length_limit or given.label_name_length_limit,
        value_length=job.label_value_length_limit or given.label_value_length_limit,
    )
    return targets.Target(
        job=job.job_name,
        url="",
        labels=(),
        honor_labels=job.honor_labels,
        honor_timestamps=job.honor_timestamps,
        track_staleness=job.track_timestamps_staleness,
        limits=limits,
        relabel=steps,
        client=client,
        scrape_protocols=job.read_protocols,
        fallback_scrape_protocol=job.fallback_scrape_protocol,
        escaping=job.escaping,
        legacy_names=job.legacy_names,
        extra_metrics=given.extra_scrape_metrics if job.extra_scrape_metrics is None else job.extra_scrape_metrics,
    )


def _times(labels: Mapping[str, str]) -> tuple[float, float]:
    """Interval and timeout in seconds. Raises `ValueError`."""
    values = []
    for what in ("interval", "timeout"):
        text = labels.get(f"__scrape_{what}__", "")
        value = section.seconds(text) if text else 0.0
        if not isinstance(value, float) or not value:
            raise ValueError(f"the scrape {what} {text!r} is no duration above 0")
        values.append(value)
    if values[1] > values[0]:
        raise ValueError(f"the scrape timeout is greater than the scrape interval ({values[1]:g} s > {values[0]:g} s)")
    return values[0], values[1]


def address(text: str) -> str:
    """`host` or `host:port`, as given. Raises `ValueError` when it is no address."""
    if not text or any(char in text for char in NO_ADDRESS):
        raise ValueError(f"{text!r} is not an address such as shop:8080")
    parts = urllib.parse.urlsplit(f"//{text}")
    if not parts.hostname or text.endswith(":") or (parts.port is not None and not 0 <= parts.port < 65536):
        raise ValueError(f"{text!r} has no host")
    return text
