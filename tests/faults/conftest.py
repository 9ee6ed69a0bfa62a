"""The switch for the larger variants of the cases."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--heavy`: gigabytes instead of megabytes where a case says so."""
    parser.addoption("--heavy", action="store_true", help="the larger variants of the delivery cases")


@pytest.fixture
def heavy(request: pytest.FixtureRequest) -> bool:
    """Whether the larger variants are asked for."""
    return bool(request.config.getoption("--heavy", default=False))
