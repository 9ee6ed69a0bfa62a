"""What is asked for and how an answer is read: Prometheus 3's order, weights and rules."""

from __future__ import annotations

import pytest

from tidegate.model import problems
from tidegate.scrape import protocols
from tidegate.scrape.protocols import Format


def test_the_default_order_and_weights_are_those_of_prometheus() -> None:
    assert protocols.accept() == (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,"
        "application/openmetrics-text;version=0.0.1;q=0.6,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,"
        "text/plain;version=0.0.4;q=0.4,"
        "*/*;q=0.3"
    )


def test_a_job_may_ask_for_less_and_for_other_names() -> None:
    assert protocols.accept(["PrometheusText0.0.4"]) == "text/plain;version=0.0.4;q=0.7,*/*;q=0.6"
    assert protocols.accept(["PrometheusText1.0.0"], "underscores") == (
        "text/plain;version=1.0.0;escaping=underscores;q=0.7,*/*;q=0.6"
    )
    assert not protocols.known("PrometheusProto")


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        ("text/plain", Format.TEXT),
        ("text/plain; version=0.0.4; charset=utf-8", Format.TEXT),
        ("text/plain; version=1.0.0; escaping=allow-utf-8", Format.TEXT),
        ("Text/Plain;charset=UTF-8", Format.TEXT),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1; charset=utf-8", Format.OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', Format.OPENMETRICS),
    ],
)
def test_the_content_type_chooses(content_type: str, form: Format) -> None:
    assert protocols.choose(content_type, "PrometheusText0.0.4") is form
    assert protocols.choose(content_type) is form


@pytest.mark.parametrize(
    ("content_type", "says"),
    [
        ("", "no Content-Type"),
        ("text", "cannot be read"),
        ("/plain", "cannot be read"),
        ("text/html; charset=utf-8", "text/html"),
        ("application/json", "application/json"),
        ("application/vnd.google.protobuf; encoding=delimited", "protobuf"),
        ("application/openmetrics-text; version=2.0.0", "OpenMetrics 2.0.0"),
    ],
)
def test_an_answer_that_does_not_say_fails_unless_there_is_a_fallback(content_type: str, says: str) -> None:
    with pytest.raises(problems.TransientError, match=says) as caught:
        protocols.choose(content_type)
    assert caught.value.reason == "content_type"
    assert "fallback_scrape_protocol" in str(caught.value)
    assert protocols.choose(content_type, "OpenMetricsText1.0.0") is Format.OPENMETRICS
    assert protocols.choose(content_type, "PrometheusText1.0.0") is Format.TEXT
