"""Our own log and metrics.

Each stage makes its instruments from the registry that it is given (no module-level registry), all named `tidegate_*`
and listed in `docs/metrics.md`. Log lines are structured: an event name and fields, JSON or text.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from prometheus_client import CollectorRegistry as Registry
from prometheus_client import Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, generate_latest

__all__ = [
    "Counter",
    "Gauge",
    "Histogram",
    "Logger",
    "Registry",
    "configure",
    "exposition",
    "logger",
    "process_metrics",
]

if TYPE_CHECKING:
    import structlog

Logger: TypeAlias = "structlog.stdlib.BoundLogger"


def logger(component: str) -> Logger:
    """A log for one component; its lines carry the component's name."""
    import structlog  # noqa: PLC0415 - 60 ms that offline commands, which log nothing, need not pay

    log: Logger = structlog.get_logger(component).bind(component=component)
    return log


def process_metrics(registry: Registry) -> None:
    """Add CPU, memory, open files and the Python version of this process, under their usual names."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)


def exposition(registry: Registry) -> bytes:
    """The registry in Prometheus' text format."""
    return generate_latest(registry)


def configure(level: str, style: Literal["auto", "json", "text"]) -> None:
    """Send our log, and that of the libraries, to standard error in one form."""
    import structlog  # noqa: PLC0415 - see above

    json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=not json)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer], foreign_pre_chain=shared
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in (
        "apscheduler",
        "azure",
        "botocore",
        "elastic_transport",
        "httpx2",
        "msal",
        "urllib3",
        "uvicorn.access",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
