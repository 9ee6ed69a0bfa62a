"""A `prometheus.yml` as our settings: a team starts by pointing us at the file it has.

What we use of it takes its place in our settings, with Prometheus' own defaults; what we do not use is said in a notice,
never dropped in silence. Problems keep pointing at the places in the file.
https://prometheus.io/docs/prometheus/latest/configuration/configuration/
"""

from __future__ import annotations

import dataclasses
import glob
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pydantic

from tidegate.kit import validate, yamlfile
from tidegate.model import problems, scraping
from tidegate.model.section import Duration, Section, Size, Text

SECTIONS = frozenset(
    {
        "alerting",
        "global",
        "otlp",
        "remote_read",
        "remote_write",
        "rule_files",
        "runtime",
        "scrape_config_files",
        "scrape_configs",
        "storage",
        "tracing",
    }
)
_IGNORED = {
    "alerting": "alerts are kept and sent from here: see `alerts` in docs/settings.md",
    "remote_read": "only what is scraped or pushed here is queried",
    "remote_write": "while Prometheus runs, it sends; later copy it to `remote_write` in tidegate.yaml",
    "storage": "see `scrape.retention`",
    "tracing": "there are no traces",
    "otlp": "OTLP metrics are not taken in",
    "runtime": "it is for Go programs",
}
_PATTERN = r"^[^*]*(\*[^/]*)?$"
_FOR_JOBS = (
    "scrape_protocols",
    "metric_name_validation_scheme",
    "metric_name_escaping_scheme",
    "scrape_native_histograms",
    "convert_classic_histograms_to_nhcb",
    "always_scrape_classic_histograms",
)
_MOVED = (
    (("scrape", "jobs"), ("scrape_configs",)),
    (("scrape", "config_files"), ("scrape_config_files",)),
    (("scrape", "interval"), ("global", "scrape_interval")),
    (("scrape", "timeout"), ("global", "scrape_timeout")),
    (("scrape",), ("global",)),
    (("rules", "files"), ("rule_files",)),
    (("rules", "evaluation_interval"), ("global", "evaluation_interval")),
    (("rules", "external_labels"), ("global", "external_labels")),
)


class _Global(Section):
    """Prometheus' `global`, with Prometheus' defaults."""

    scrape_interval: Duration = 60.0
    scrape_timeout: Duration = 10.0
    evaluation_interval: Duration = 60.0
    rule_query_offset: Duration = 0.0
    external_labels: dict[Annotated[str, pydantic.Field(min_length=1)], Text] = pydantic.Field(default_factory=dict)
    scrape_protocols: list[Any] | None = None
    query_log_file: str = ""
    query_max_series: int = pydantic.Field(default=0, ge=0)
    query_max_samples_read: int = pydantic.Field(default=0, ge=0)
    query_max_duration: Duration = 0.0
    scrape_failure_log_file: str = ""
    body_size_limit: Size = 0
    sample_limit: int = 0
    target_limit: int = 0
    label_limit: int = 0
    label_name_length_limit: int = 0
    label_value_length_limit: int = 0
    keep_dropped_targets: int = 0
    metric_name_validation_scheme: str | None = None
    metric_name_escaping_scheme: str | None = None
    scrape_native_histograms: bool | None = None
    convert_classic_histograms_to_nhcb: bool | None = None
    always_scrape_classic_histograms: bool | None = None
    extra_scrape_metrics: bool = False


class _Files(pydantic.BaseModel):
    """Prometheus' lists of patterns; a star may stand in the file's name only."""

    model_config = pydantic.ConfigDict(defer_build=True)

    rule_files: tuple[Annotated[str, pydantic.Field(pattern=_PATTERN)], ...] | None = None
    scrape_config_files: tuple[Annotated[str, pydantic.Field(pattern=_PATTERN)], ...] | None = None


class _ConfigFile(pydantic.BaseModel):
    """A file of `scrape_config_files`, or a whole `prometheus.yml` that stands for one."""

    model_config = pydantic.ConfigDict(defer_build=True)

    scrape_configs: list[scraping.Job] = pydantic.Field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Translated:
    """A `prometheus.yml` in our words."""

    values: dict[str, Any]
    notices: tuple[problems.Problem, ...]


def recognised(value: object) -> bool:
    """Whether a document is a `prometheus.yml`: it has sections of Prometheus' only, and not just one that we have too."""
    return isinstance(value, dict) and value.keys() <= SECTIONS and bool(value.keys() - {"remote_write"})


def translated(document: yamlfile.Document) -> Translated:
    """Our settings from a `prometheus.yml`; the document finds places by our paths from now on. Raises `ConfigError`."""
    given: Mapping[str, Any] = document.value
    shared = validate.model(_Global, given.get("global") or {}, document, ("global",), "settings-")
    if (given.get("global") or {}).get("scrape_timeout") and shared.scrape_timeout > shared.scrape_interval:
        summary = f"the scrape timeout is greater than the scrape interval of {shared.scrape_interval:g} s"
        raise problems.ConfigError([document.problem("targets-timeout", summary, ("global", "scrape_timeout"))])
    files = validate.model(_Files, given, document, prefix="settings-")
    for_jobs = {name: getattr(shared, name) for name in _FOR_JOBS if getattr(shared, name) is not None}
    jobs = given.get("scrape_configs")
    jobs = [] if jobs is None else jobs
    if isinstance(jobs, list):
        jobs = [_inheriting(for_jobs, job) if isinstance(job, dict) else job for job in jobs]
    limits = {name: getattr(shared, name) for name in scraping.Limits.model_fields}
    scrape = {
        "interval": shared.scrape_interval,
        "timeout": min(shared.scrape_timeout, shared.scrape_interval),
        "jobs": jobs,
        "config_files": list(files.scrape_config_files or ()),
        "extra_scrape_metrics": shared.extra_scrape_metrics,
        **({"body_size_limit": shared.body_size_limit} if shared.body_size_limit else {}),
        **limits,
    }
    rules = {
        "files": list(files.rule_files or ()),
        "evaluation_interval": shared.evaluation_interval,
        "external_labels": shared.external_labels,
    }
    notices = _notices(document, shared)
    document.moved = _MOVED
    return Translated({"scrape": scrape, "rules": rules}, notices)


def _inheriting(shared: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    """A job with what `global` says for it. One with its own scheme of names does not inherit how others are escaped."""
    own = "metric_name_escaping_scheme" if job.get("metric_name_validation_scheme") else ""
    return {name: value for name, value in shared.items() if name != own} | dict(job)


def _notices(document: yamlfile.Document, shared: _Global) -> tuple[problems.Problem, ...]:
    found = [
        _notice(document, f"`{name}` is not used", (name,), _IGNORED[name])
        for name in document.value
        if name in _IGNORED
    ]
    unused = (
        "rule_query_offset",
        "query_log_file",
        "query_max_series",
        "query_max_samples_read",
        "query_max_duration",
    )
    found += [
        _notice(document, f"`global.{name}` is not used", ("global", name), "")
        for name in unused
        if getattr(shared, name)
    ]
    jobs = document.value.get("scrape_configs")
    for number, job in enumerate(jobs if isinstance(jobs, list) else ()):
        found += _of_job(document, job, ("scrape_configs", number))
    return tuple(found + _of_job(document, document.value.get("global"), ("global",)))


def _of_job(document: yamlfile.Document, given: object, at: tuple[str | int, ...]) -> list[problems.Problem]:
    """What of a job, or of all jobs, has no effect here."""
    if not isinstance(given, dict):
        return []
    found = []
    if given.get("scrape_failure_log_file"):
        hint = "failed scrapes are in the log and in /api/v1/targets"
        found.append(
            _notice(document, "`scrape_failure_log_file` is not written", (*at, "scrape_failure_log_file"), hint)
        )
    asked = given.get("scrape_protocols")
    unread = [name for name in asked if name in scraping.UNREAD] if isinstance(asked, list) else []
    if unread:
        summary = f"{' and '.join(map(str, unread))} is not asked for"
        found.append(_notice(document, summary, (*at, "scrape_protocols"), "the text formats beside it are"))
    return found


def _notice(document: yamlfile.Document, summary: str, at: Sequence[str | int], hint: str) -> problems.Problem:
    found = document.problem("settings-not-used", summary, at, hint=hint, key=True)
    return dataclasses.replace(found, severity="warning")


def jobs_in(patterns: Sequence[str], folder: pathlib.Path) -> list[dict[str, Any]]:
    """The jobs of further files. Raises `ConfigError` with every problem, at its place."""
    found: list[dict[str, Any]] = []
    wrong: list[problems.Problem] = []
    for pattern in patterns:
        for name in sorted(glob.glob(str(folder / pattern))):  # noqa: PTH207 - absolute patterns
            try:
                found += _jobs_of(pathlib.Path(name))
            except problems.ConfigError as error:
                wrong += error.problems
    if wrong:
        raise problems.ConfigError(wrong)
    return found


def _jobs_of(path: pathlib.Path) -> list[dict[str, Any]]:
    document = yamlfile.read(path)
    value = document.value or {}
    validate.model(_ConfigFile, value, document, prefix="settings-")
    jobs: list[dict[str, Any]] = value.get("scrape_configs") or []
    if not recognised(value) or "global" not in value:
        return jobs
    shared = value["global"] or {}
    own = {name: shared[name] for name in ("scrape_interval", "scrape_timeout", *_FOR_JOBS) if name in shared}
    return [own | job for job in jobs]
