"""Every field that Prometheus 3 has for scraping is taken, refused by name, or has no effect; and the docs say which."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess

import pydantic
import pytest

from tests.services import prometheus
from tidegate.kit import config, prometheusyml
from tidegate.model import httpclient, problems, scraping

LIMITS = """body_size_limit sample_limit target_limit label_limit label_name_length_limit label_value_length_limit
keep_dropped_targets scrape_interval scrape_timeout scrape_protocols scrape_failure_log_file metric_name_validation_scheme
metric_name_escaping_scheme scrape_native_histograms convert_classic_histograms_to_nhcb always_scrape_classic_histograms
extra_scrape_metrics"""
PROXY = "proxy_url no_proxy proxy_from_environment proxy_connect_header"
TAKEN: dict[str, tuple[type[pydantic.BaseModel], str]] = {
    "GlobalConfig": (
        prometheusyml._Global,
        LIMITS
        + """ evaluation_interval rule_query_offset query_log_file query_max_series query_max_samples_read
        query_max_duration external_labels""",
    ),
    "ScrapeConfig": (
        scraping.Job,
        LIMITS
        + """ job_name honor_labels honor_timestamps track_timestamps_staleness params fallback_scrape_protocol metrics_path
        scheme enable_compression native_histogram_bucket_limit native_histogram_min_bucket_factor relabel_configs
        metric_relabel_configs""",
    ),
    "HTTPClientConfig": (
        scraping.Job,
        "basic_auth authorization oauth2 bearer_token bearer_token_file tls_config follow_redirects enable_http2 http_headers",
    ),
    "ProxyConfig": (httpclient.Proxied, PROXY),
    "BasicAuth": (httpclient.BasicAuth, "username username_file password password_file"),
    "Authorization": (httpclient.Authorization, "type credentials credentials_file"),
    "OAuth2": (
        httpclient.OAuth2,
        "client_id client_secret client_secret_file grant_type scopes token_url endpoint_params tls_config",
    ),
    "TLSConfig": (
        httpclient.Tls,
        "ca cert key ca_file cert_file key_file server_name insecure_skip_verify min_version max_version",
    ),
    "Header": (httpclient.Header, "values secrets files"),
}
"""The fields that we have, by Prometheus' type."""
REFUSED: dict[str, str] = {
    "BasicAuth": "username_ref password_ref",
    "Authorization": "credentials_ref",
    "OAuth2": """client_secret_ref client_certificate_key_id client_certificate_key client_certificate_key_file
    client_certificate_key_ref signature_algorithm iss audience claims""",
    "TLSConfig": "ca_ref cert_ref key_ref",
}
"""Those that we have not."""
PLACES = {
    "BasicAuth": "basic_auth: {FIELD: x}",
    "Authorization": "authorization: {FIELD: x}",
    "OAuth2": "oauth2: {client_id: a, token_url: 'http://b', FIELD: x}",
    "TLSConfig": "tls_config: {FIELD: x}",
}
LEFT = [(kind, field) for kind, fields in REFUSED.items() for field in fields.split()]


@pytest.mark.parametrize("kind", TAKEN)
def test_each_field_is_ours(kind: str) -> None:
    model, fields = TAKEN[kind]
    assert set(fields.split()) <= model.model_fields.keys()


@pytest.mark.parametrize(("kind", "field"), LEFT)
def test_each_other_field_is_refused_by_name(tmp_path: pathlib.Path, kind: str, field: str) -> None:
    path = tmp_path / "prometheus.yml"
    path.write_text(f"scrape_configs:\n  - job_name: a\n    {PLACES[kind].replace('FIELD', field)}\n")
    with pytest.raises(problems.ConfigError) as caught:
        config.load(path, {})
    (problem,) = caught.value.problems
    assert f"unknown field `{field}`" in problem.summary


def test_each_field_is_documented() -> None:
    docs = pathlib.Path(__file__).parents[2] / "docs"
    text = (docs / "scrape.md").read_text() + (docs / "settings.md").read_text()
    for fields in (*(fields for _, fields in TAKEN.values()), *REFUSED.values()):
        for field in fields.split():
            assert f"`{field}`" in text, field


ACCEPTED_WITH_NOTICE = [
    ("scrape_configs: [{job_name: a, scrape_failure_log_file: f}]", "is not written"),
    ("global: {scrape_failure_log_file: f}", "is not written"),
    ("global: {scrape_protocols: [PrometheusProto, PrometheusText0.0.4]}", "PrometheusProto is not asked for"),
    (
        "scrape_configs: [{job_name: a, scrape_protocols: [OpenMetricsText2.0.0, PrometheusText0.0.4]}]",
        "is not asked for",
    ),
    ("global: {query_log_file: f}", "is not used"),
]


@pytest.mark.parametrize(("text", "said"), ACCEPTED_WITH_NOTICE)
def test_what_has_no_effect_is_said(tmp_path: pathlib.Path, text: str, said: str) -> None:
    (tmp_path / "prometheus.yml").write_text(text)
    (notice,) = config.load(tmp_path / "prometheus.yml", {}).notices
    assert said in notice.summary
    assert (notice.code, notice.line) == ("settings-not-used", 1)


@pytest.mark.parametrize(
    "text",
    [
        "scrape_protocols: [PrometheusProto]",
        "fallback_scrape_protocol: PrometheusProto",
        "scrape_native_histograms: true",
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / "prometheus.yml").write_text(f"scrape_configs: [{{job_name: a, {text}}}]")
    with pytest.raises(problems.ConfigError):
        config.load(tmp_path / "prometheus.yml", {})


def _sources() -> list[pathlib.Path]:
    """Prometheus' own types, where Go has its source of our version."""
    done = subprocess.run(["go", "env", "-json", "GOMODCACHE"], capture_output=True, text=True, check=False)
    cache = pathlib.Path(json.loads(done.stdout)["GOMODCACHE"]) if done.returncode == 0 else pathlib.Path("/nowhere")
    ours = cache / f"{prometheus.MODULE}@{prometheus.VERSION}"
    required = re.search(r"prometheus/common (\S+)", (ours / "go.mod").read_text()) if ours.is_dir() else None
    common = cache / f"github.com/prometheus/common@{required[1] if required else ''}" / "config"
    return [ours / "config/config.go", *sorted(common.glob("*.go"))]


def test_prometheus_has_no_field_that_we_do_not_know() -> None:
    sources = [path for path in _sources() if path.is_file()]
    if len(sources) < 2:
        pytest.skip("Go has no source of this Prometheus")
    text = "\n".join(path.read_text() for path in sources)
    for kind, (_, fields) in TAKEN.items():
        (body,) = re.findall(rf"^type {kind} struct {{\n(.*?)^}}", text, re.MULTILINE | re.DOTALL)
        theirs = set(re.findall(r'yaml:"([a-z0-9_]+)', body))
        assert theirs == set(fields.split()) | set(REFUSED.get(kind, "").split()), kind
