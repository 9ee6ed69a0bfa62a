"""The files of blackbox exporters as modules: taken, refused with a place, or told to be useless."""

from __future__ import annotations

import pathlib

import pytest

from tests.services import blackbox
from tidegate.kit import blackboxyml, config
from tidegate.model import probing, problems

GOOD = {
    "the exporter's own": """
modules:
  http_2xx: {prober: http, http: {preferred_ip_protocol: ip4}}
  empty: {prober: http, http: }
  pop3s_banner:
    prober: tcp
    tcp: {query_response: [{expect: "^+OK"}], tls: true, tls_config: {insecure_skip_verify: false}}
  ssh_banner_extract:
    prober: tcp
    timeout: 5s
    tcp:
      query_response:
      - {expect: "^SSH-2.0-([^ -]+)(?: (.*))?$", labels: [{name: ssh_version, value: "${1}"}]}
  icmp_ttl5: {prober: icmp, timeout: 1m30.5s, icmp: {ttl: 5}}
  postgresql:
    prober: tcp
    tcp: {query_response: [{send: !!binary AAAACATSFi8=}, {expect_bytes: S}, {starttls: true}]}
""",
    "others' sections": "modules: {a: {prober: icmp, grpc: {tls: true, service: x}, unix: {tls: false}}}",
    "limits": """
modules:
  a: {prober: http, http: {body_size_limit: 10MB, headers: {Accept-Encoding: "br, gzip;q=0.5"}, compression: gzip}}
""",
    "numbers as texts": "modules: {a: {prober: http, http: {body: 5, headers: {X-Id: 007}}}}",
    "nothing": "modules: {}",
}
BAD = {
    "unknown field": "modules: {a: {prober: http, http: {valid_status: [200]}}}",
    "unknown section": "modules: {a: {prober: http, ftp: {}}}",
    "top level": "modules: {}\nother: 1",
    "body twice": "modules: {a: {prober: http, http: {body: x, body_file: y}}}",
    "body pattern": "modules: {a: {prober: http, http: {fail_if_body_matches_regexp: ['(']}}}",
    "header pattern": "modules: {a: {prober: http, http: {fail_if_header_matches: [{header: a, regexp: '['}]}}}",
    "no header": "modules: {a: {prober: http, http: {fail_if_header_matches: [{regexp: a}]}}}",
    "no header pattern": "modules: {a: {prober: http, http: {fail_if_header_matches: [{header: a}]}}}",
    "compression": 'modules: {a: {prober: http, http: {compression: gzip, headers: {"Accept-Encoding": "gzip;q=0, br"}}}}',
    "no http3": "modules: {a: {prober: http, http: {valid_http_versions: [HTTP/3.0]}}}",
    "http3 and 2": "modules: {a: {prober: http, http: {enable_http3: true}}}",
    "two identities": "modules: {a: {prober: http, http: {bearer_token: x, basic_auth: {username: u}}}}",
    "no query": "modules: {a: {prober: dns, dns: {query_type: A}}}",
    "query class": "modules: {a: {prober: dns, dns: {query_name: a, query_class: X}}}",
    "query type": "modules: {a: {prober: dns, dns: {query_name: a, query_type: NOTYPE}}}",
    "ttl": "modules: {a: {prober: icmp, icmp: {ttl: 256}}}",
    "negative ttl": "modules: {a: {prober: icmp, icmp: {ttl: -1}}}",
    "expect twice": "modules: {a: {prober: tcp, tcp: {query_response: [{expect: a, expect_bytes: b}]}}}",
    "expect pattern": "modules: {a: {prober: tcp, tcp: {query_response: [{expect: '('}]}}}",
    "other timeout": "modules: {a: {prober: tcp, timeout: 1d}}",
    "not a list": "modules: {a: {prober: http, http: {valid_status_codes: 200}}}",
}


def read(text: str, folder: pathlib.Path) -> blackboxyml.Read:
    (folder / "blackbox.yml").write_text(text)
    return blackboxyml.read(["blackbox.yml"], folder)


@pytest.mark.service
@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_verdicts_are_those_of_the_exporter(blackbox_binary: pathlib.Path, tmp_path: pathlib.Path, name: str) -> None:
    ours: tuple[problems.Problem, ...] = ()
    try:
        read((GOOD | BAD)[name], tmp_path)
    except problems.ConfigError as error:
        ours = error.problems
    theirs = blackbox.refusal(tmp_path / "blackbox.yml")
    assert (bool(ours), bool(theirs)) == (name in BAD, name in BAD), f"{ours}{theirs}"
    assert all(one.line and one.excerpt for one in ours)


def test_timeouts_may_be_numbers_as_elsewhere(tmp_path: pathlib.Path) -> None:
    read("modules: {a: {prober: tcp, timeout: 5}}", tmp_path)
    given = read("modules: {a: {prober: tcp, timeout: 1m0.5s}}", tmp_path).modules
    assert probing.Module.model_validate(given["a"]).timeout == 60.5


def test_what_cannot_be_done_is_a_notice(tmp_path: pathlib.Path) -> None:
    found = read(
        """modules:
  a: {prober: grpc, grpc: {service: x}}
  b: {prober: http, http: {fail_if_body_json_matches_cel: "body.x == 1"}}
  c: {prober: http, http: {enable_http3: true, enable_http2: false}}
  d: {prober: http, http: {valid_http_versions: [HTTP/2.0]}}
  e: {prober: http, http: {compression: br}}
  f: {prober: http, http: {proxy_url: "socks5://a:1"}}
  g: {prober: icmp, http: {compression: br}}
""",
        tmp_path,
    )
    assert [(one.code, one.severity, one.line) for one in found.notices] == [
        ("probe-unsupported", "warning", line) for line in range(2, 8)
    ]


def test_files_and_settings_together(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.yml").write_text("modules: {a: {prober: tcp}, b: {prober: tcp}}")
    (tmp_path / "tidegate.yaml").write_text(
        "probes: {config_files: [one.yml], modules: {b: {prober: icmp}, c: {prober: grpc}}}"
    )
    loaded = config.load(tmp_path / "tidegate.yaml", {})
    assert {name: one.prober for name, one in loaded.settings.probes.modules.items()} == {
        "a": "tcp",
        "b": "icmp",
        "c": "grpc",
    }
    assert [(one.file, one.summary.split(":")[0]) for one in loaded.notices] == [
        (str(tmp_path / "tidegate.yaml"), "the module 'c' cannot be used")
    ]


def test_problems_of_files(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.yml").write_text("modules: {a: {prober: tcp}}")
    (tmp_path / "two.yml").write_text("modules: {a: {prober: icmp}}")
    with pytest.raises(problems.ConfigError) as caught:
        blackboxyml.read(["*.yml", "three.yml"], tmp_path)
    assert [one.code for one in caught.value.problems] == ["probe-module-twice", "file-unreadable"]
