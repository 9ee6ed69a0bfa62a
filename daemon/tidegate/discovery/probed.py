"""From the labels of a target to what is probed: the part of `build` for jobs with `probe`.

The labels that a job for a blackbox exporter sets (`__param_target`, `__param_module`, `__param_hostname`) count here too,
so that such a job goes on working with `probe` in the place of the exporter's address.
"""

from __future__ import annotations

import pathlib
import urllib.parse
from collections.abc import Mapping

from tidegate.kit import validate, yamlfile
from tidegate.model import probing, problems, scraping, targets

BLANKS = frozenset(" \t\r\n")


def probe(labels: Mapping[str, str], job: scraping.Job, probes: probing.Probes, folder: pathlib.Path) -> targets.Probe:
    """How one target is probed. Raises `ValueError` when it cannot be."""
    address = labels.get("__param_target") or labels.get("__address__", "")
    if not address or BLANKS & set(address):
        raise ValueError(f"{address!r} is nothing to probe")
    name = labels.get("__param_module") or job.probe
    module = probes.module(name)
    if module is None:
        raise ValueError(f"there is no module {name!r} to probe {address} with")
    if module.unsupported:
        raise ValueError(f"module {name!r} cannot probe {address}: {module.unsupported}")
    return targets.Probe(address, name, module, labels.get("__param_hostname", ""), str(folder))


def url(given: targets.Probe) -> str:
    """What names a probed target."""
    return f"probe:{given.module}?target={urllib.parse.quote(given.address, safe=':/[]')}"


def check(scrape: scraping.Scrape, probes: probing.Probes, document: yamlfile.Document) -> list[problems.Problem]:
    """Jobs whose module is not there, or cannot be used."""
    found = []
    known = [*probes.modules, *(name for name in probing.BUILT_IN if name not in probes.modules)]
    for number, job in enumerate(scrape.jobs):
        if not job.probe:
            continue
        at = ("scrape", "jobs", number, "probe")
        module = probes.module(job.probe)
        if module is None:
            hint = validate.closest(job.probe, known) or f"modules are {', '.join(sorted(known))}"
            summary = f"there is no module {job.probe!r}"
            found.append(document.problem("probe-no-module", summary, at, hint=hint))
        elif module.unsupported:
            found.append(document.problem("probe-unsupported", f"module {job.probe!r}: {module.unsupported}", at))
    return found
