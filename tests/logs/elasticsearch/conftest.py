"""A real Elasticsearch with our mapping, as far as the server knows its field types."""

from __future__ import annotations

import collections.abc

import pytest

from tests import conftest
from tests.services import cache, elasticsearch


@pytest.fixture(scope="session")
def elasticsearch_url() -> collections.abc.Iterator[str]:
    """The address of a real Elasticsearch."""
    try:
        with elasticsearch.address() as url:
            yield url
    except cache.UnavailableError as error:
        conftest.unavailable(str(error))
