"""Random `prometheus.yml` files, some good, some wrong in one place or more; the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

Make = Callable[[random.Random], Any]


def of(*values: Any) -> Make:
    """One of some values."""
    return lambda chance: chance.choice(values)


def but(good: list[Any], wrong: list[Any]) -> Make:
    """Mostly a good value, sometimes a wrong one."""
    return lambda chance: chance.choice(wrong if chance.random() < WRONG else good)


WRONG = 0.06
DURATIONS = but(["1s", "5s", "30s", "1m", "1h30m", "2m500ms", "0s"], ["10x", "", "1.5m", "-1s", "1m1h", "1m1m", "15"])
SWITCH = but([True, False], ["nope", [], 1.5])
NUMBER = but([0, 1, 100, 2**32], [-1, "many", []])
SIZES = but(["10MB", "1KB", "5GiB", "0", "1.5MB", "3B", "1MB500KB"], ["10 MB", "10mb", "MB"])
TEXT = of("a", "", "x y", 1, 1.5, True, "ü")
NAMES = but(["a", "b_c", "__name__", "ü", "a b", "0x", "a-b"], [""])
PROTOCOLS = but(["OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4"], ["X"])
ADDRESSES = but(["a:1", "a", "[::1]:9090", "10.0.0.1:80", 9090], ["http://a", "a/b"])
URLS = but(["http://a/b", "https://a"], ["a", "ftp://a", "http://", "//a", "http://a:x/"])
FILES = but(["a.json", "sd/*.yml", "a/*.yaml", "/x/y*.json"], ["a/*/b.json", "a.txt", "*"])


def several(one: Make, most: int = 3) -> Make:
    """A list, or sometimes something else."""

    def make(chance: random.Random) -> Any:
        if chance.random() < WRONG / 6:
            return chance.choice([None, [], {}, "x", [None]])
        return [one(chance) for _ in range(chance.randint(1, most))]

    return make


def section(fields: dict[str, Make], always: tuple[str, ...] = (), share: float = 0.3) -> Make:
    """A mapping with some of its fields, seldom with an unknown one or none at all."""

    def make(chance: random.Random) -> Any:
        found = {name: one(chance) for name, one in fields.items() if name in always or chance.random() < share}
        if chance.random() < WRONG / 6:
            found["unknown_field"] = 1
        if chance.random() < WRONG / 8:
            return None
        return found

    return make


def mapping(key: Make, value: Make) -> Make:
    """A mapping of free names."""
    return lambda chance: {key(chance): value(chance) for _ in range(chance.randint(0, 2))}


TLS = section(
    {
        "ca_file": of("ca.pem"),
        "ca": of("pem"),
        "cert_file": of("c.pem"),
        "key_file": of("k.pem"),
        "server_name": TEXT,
        "insecure_skip_verify": SWITCH,
        "min_version": but(["TLS12", "TLS13"], ["SSL3", ""]),
        "max_version": but(["TLS13"], ["TLS9"]),
    }
)
PROXY: dict[str, Make] = {
    "proxy_url": of("http://p:3128"),
    "no_proxy": of("a,b", ""),
    "proxy_from_environment": SWITCH,
    "proxy_connect_header": mapping(of("X-A"), of(["b"])),
}
OAUTH2 = section(
    {
        "client_id": of("a", ""),
        "client_secret": of("b"),
        "client_secret_file": of("f"),
        "token_url": of("http://t", ""),
        "scopes": several(of("s")),
        "endpoint_params": mapping(of("p"), TEXT),
        "tls_config": TLS,
        "grant_type": of("", "client_credentials"),
    },
    ("client_id", "token_url"),
)
HTTP: dict[str, Make] = {
    "basic_auth": section({"username": TEXT, "password": TEXT, "password_file": of("f"), "username_file": of("g")}),
    "authorization": section({"type": of("Bearer", "basic", "Token", ""), "credentials": TEXT}),
    "oauth2": OAUTH2,
    "bearer_token": TEXT,
    "bearer_token_file": of("t"),
    "tls_config": TLS,
    "follow_redirects": SWITCH,
    "enable_http2": SWITCH,
    "http_headers": mapping(of("X-A", "x-b", "Host", "Accept"), section({"values": several(of("v", "", 1))})),
}
RELABEL = section(
    {
        "source_labels": several(NAMES),
        "separator": TEXT,
        "regex": but(["(.*)", "a|b", "(?P<x>.)", 1], ["("]),
        "modulus": but([8, 0], [-1]),
        "target_label": but(["x", "__tmp", "a b", "x-y"], ["", "${1}", "$1_x"]),
        "replacement": of("$1", "", "x", 1),
        "action": but(
            ["replace", "keep", "drop", "labelmap", "lowercase", "Uppercase", "hashmod", "labelkeep", "labeldrop"],
            ["nothing", "", "keepequal", "dropequal"],
        ),
    },
    share=0.5,
)
STATIC = section({"targets": several(ADDRESSES), "labels": mapping(NAMES, TEXT)}, ("targets",))
LIMITS: dict[str, Make] = {
    "body_size_limit": SIZES,
    "sample_limit": NUMBER,
    "target_limit": NUMBER,
    "label_limit": NUMBER,
    "label_name_length_limit": NUMBER,
    "label_value_length_limit": NUMBER,
    "keep_dropped_targets": NUMBER,
    "metric_name_validation_scheme": but(["", "utf8", "utf8", "legacy"], ["latin"]),
    "metric_name_escaping_scheme": but(["", "allow-utf-8", "underscores", "dots", "values"], ["hex"]),
    "scrape_protocols": several(PROTOCOLS),
    "extra_scrape_metrics": SWITCH,
    "always_scrape_classic_histograms": SWITCH,
    "scrape_native_histograms": of(False),
    "convert_classic_histograms_to_nhcb": of(False),
    "scrape_failure_log_file": of("f.log"),
    "scrape_interval": DURATIONS,
    "scrape_timeout": DURATIONS,
}
JOB = section(
    {
        "job_name": but(["a", "b", "c", 1, "007"], ["", None]),
        "honor_labels": SWITCH,
        "honor_timestamps": SWITCH,
        "track_timestamps_staleness": SWITCH,
        "params": mapping(TEXT, several(TEXT)),
        "fallback_scrape_protocol": PROTOCOLS,
        "metrics_path": of("/m", "", "m", 1),
        "scheme": of("http", "https"),
        "enable_compression": SWITCH,
        "native_histogram_bucket_limit": NUMBER,
        "native_histogram_min_bucket_factor": of(1.1, 0, "x"),
        "static_configs": several(STATIC),
        "file_sd_configs": several(section({"files": several(FILES), "refresh_interval": DURATIONS}, ("files",))),
        "http_sd_configs": several(section({"url": URLS, "refresh_interval": DURATIONS}, ("url",))),
        "dns_sd_configs": several(
            section(
                {"names": several(of("a", "b.c")), "type": but(["A", "srv", "MX"], ["TXT"]), "port": but([1, 80], [0])},
                ("names",),
            )
        ),
        "relabel_configs": several(RELABEL),
        "metric_relabel_configs": several(RELABEL),
        **LIMITS,
        **HTTP,
        **PROXY,
    },
    ("job_name",),
    share=0.06,
)
GLOBAL = section(
    {
        "evaluation_interval": DURATIONS,
        "rule_query_offset": DURATIONS,
        "query_log_file": of("q.log"),
        "query_max_series": NUMBER,
        "query_max_samples_read": NUMBER,
        "query_max_duration": DURATIONS,
        "external_labels": mapping(NAMES, TEXT),
        **LIMITS,
    },
    share=0.08,
)
WHOLE = section(
    {
        "global": GLOBAL,
        "rule_files": several(but(["none/*.yml", "nothing*"], ["a*/b.yml"])),
        "scrape_config_files": several(of("none/*.yml", "none.yml", "a*/b.yml")),
        "scrape_configs": several(JOB, 2),
    },
    ("scrape_configs",),
    share=0.5,
)
