"""What every test may use: paths of the shared conformance data, and the rule that CI skips nothing in silence."""

from __future__ import annotations

import os
import pathlib

import hypothesis
import pytest

from tests.services import blackbox, cache, prometheus

# The same examples in every run of CI: what random ones find is found on people's machines, not while landing.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"


def unavailable(reason: str) -> None:
    """Skip the test with a reason; in CI (`CI=true`) fail, because there it must be able to run."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"not available, and CI=true: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def conformance() -> pathlib.Path:
    """Other projects' test data, read in place."""
    folder = SHARED / "conformance"
    if not folder.is_dir():
        unavailable(f"no conformance data at {folder}")
    return folder


@pytest.fixture(scope="session")
def prometheus_binary() -> pathlib.Path:
    """The real Prometheus' program; see `tests.services.prometheus`."""
    try:
        return prometheus.binary()
    except cache.UnavailableError as error:
        unavailable(str(error))
        raise


@pytest.fixture(scope="session")
def promtool() -> pathlib.Path:
    """The real promtool."""
    try:
        return prometheus.promtool()
    except cache.UnavailableError as error:
        unavailable(str(error))
        raise


@pytest.fixture(scope="session")
def blackbox_binary() -> pathlib.Path:
    """The real blackbox exporter's program; see `tests.services.blackbox`."""
    try:
        return blackbox.binary()
    except cache.UnavailableError as error:
        unavailable(str(error))
        raise
