"""A real Elasticsearch or OpenSearch for tests: an address given by environment, or one started from its Maven artifact.

`TIDEGATE_TEST_ELASTICSEARCH_URL` (`..._ELASTICSEARCH8_URL`, `..._OPENSEARCH_URL`) wins. Else the distribution for integration
tests is fetched through Maven once, kept in the cache, and started on a free loopback port; as another user when we are
root, since both refuse root. Those distributions lack parts of the product: see what a test may conclude from them.
"""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
import zipfile

from tests.services import cache


@dataclasses.dataclass(frozen=True, slots=True)
class Flavour:
    """One server program in one version: tests compare answers, and those belong to a version."""

    kind: str
    artifact: str
    version: str
    oldest_java: int
    variable: str
    """Of the environment, with the address of one that runs already."""
    settings: tuple[tuple[str, object], ...] = ()

    @property
    def name(self) -> str:
        """Of its archive and folder."""
        return f"{self.kind}-{self.version}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{'Elasticsearch' if self.kind == 'elasticsearch' else 'OpenSearch'} {self.version}"


_OPEN = (("xpack.security.enabled", False),)
_ELASTIC = "org.elasticsearch.distribution.integ-test-zip:elasticsearch"
ELASTICSEARCH = Flavour("elasticsearch", _ELASTIC, "9.5.3", 21, "TIDEGATE_TEST_ELASTICSEARCH_URL", _OPEN)
ELASTICSEARCH_8 = Flavour("elasticsearch", _ELASTIC, "8.19.21", 17, "TIDEGATE_TEST_ELASTICSEARCH8_URL", _OPEN)
OPENSEARCH = Flavour(
    "opensearch",
    "org.opensearch.distribution.integ-test-zip:opensearch",
    "3.8.0",
    21,
    "TIDEGATE_TEST_OPENSEARCH_URL",
)
MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
USER = "nobody"
HEAP = "512m"
START_TIMEOUT = 120.0


class Server:
    """One running server, to be stopped by whoever started it."""

    def __init__(
        self,
        settings: dict[str, object] | None = None,
        flavour: Flavour = ELASTICSEARCH,
        *,
        home: pathlib.Path | None = None,
        files: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`home` is an unpacked server of our own; `files` go into its configuration, by name; `headers` are let in."""
        self.headers = headers or {}
        java, home = _java(flavour.oldest_java), home or _distribution(flavour)
        self.url = ""
        self.flavour = flavour
        self._work = pathlib.Path(tempfile.mkdtemp(prefix=f"tidegate-{flavour.kind}-"))
        self._configure(home, settings or {})
        for name, text in (files or {}).items():
            (self._work / "config" / name).write_text(text)
        self._home, self._java = home, java
        self.start()

    def start(self) -> None:
        """Start it on its data; a second start after `kill` takes a new port."""
        (self._work / "logs/http.ports").unlink(missing_ok=True)
        user: dict[str, object] = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam(USER)
            subprocess.run(["chown", "-R", f"{account.pw_uid}:{account.pw_gid}", str(self._work)], check=True)
            user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        prefix = "ES" if self.flavour.kind == "elasticsearch" else "OPENSEARCH"
        environ = {
            "PATH": os.defpath,
            "HOME": str(self._work),
            f"{prefix}_JAVA_HOME": str(self._java),
            f"{prefix}_PATH_CONF": str(self._work / "config"),
            f"{prefix}_TMPDIR": str(self._work / "tmp"),
        }
        with (self._work / "out.log").open("wb") as log:
            self._process = subprocess.Popen(  # type: ignore[call-overload]
                [str(self._home / "bin" / self.flavour.kind)],
                env=environ,
                cwd=self._work,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **user,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End the process at once; its data stays."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """Ask the process to end in good order; its data stays."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(START_TIMEOUT)

    def stop(self) -> None:
        """End the process and remove its data."""
        self.kill()
        shutil.rmtree(self._work, ignore_errors=True)

    def _configure(self, home: pathlib.Path, more: dict[str, object]) -> None:
        conf = self._work / "config"
        shutil.copytree(home / "config", conf)
        for folder in ("data", "logs", "tmp", "config/jvm.options.d"):
            (self._work / folder).mkdir(exist_ok=True)
        kept = [
            line
            for line in (conf / "jvm.options").read_text().splitlines()
            if "gc.log" not in line and "hs_err" not in line
        ]
        (conf / "jvm.options").write_text("\n".join(kept) + "\n")
        fast = ["-XX:-AlwaysPreTouch", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UseG1GC"]
        (conf / "jvm.options.d/test.options").write_text("\n".join([f"-Xms{HEAP}", f"-Xmx{HEAP}", *fast]) + "\n")
        options = {
            "discovery.type": "single-node",
            "http.host": "127.0.0.1",
            "http.port": 0,
            "transport.host": "127.0.0.1",
            "transport.port": 0,
            "node.portsfile": True,
            "path.data": str(self._work / "data"),
            "path.logs": str(self._work / "logs"),
            "cluster.routing.allocation.disk.threshold_enabled": False,
            "action.destructive_requires_name": False,
            **dict(self.flavour.settings),
            **more,
        }
        lines = [f"{name}: {json.dumps(value)}\n" for name, value in options.items()]
        (conf / f"{self.flavour.kind}.yml").write_text("".join(lines))

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        ports = self._work / "logs/http.ports"
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, ValueError, IndexError):
                self.url = "http://" + ports.read_text().split()[0]
                health = f"{self.url}/_cluster/health?wait_for_status=green&timeout=5s"
                request = urllib.request.Request(health, headers=self.headers)
                with urllib.request.urlopen(request, timeout=10) as answer:
                    if json.load(answer)["status"] == "green":
                        return
            time.sleep(0.05)
        text = (self._work / "out.log").read_text(errors="replace")[-3000:]
        raise RuntimeError(f"{self.flavour.name} did not start:\n{text}")


@contextlib.contextmanager
def address(flavour: Flavour = ELASTICSEARCH) -> collections.abc.Iterator[str]:
    """The URL of a server, for as long as the block lasts. Raises `cache.UnavailableError`."""
    given = os.environ.get(flavour.variable)
    if given:
        yield given.rstrip("/")
        return
    server = Server(flavour=flavour)
    try:
        yield server.url
    finally:
        server.stop()


def call(
    method: str, url: str, body: object = None, headers: collections.abc.Mapping[str, str] | None = None
) -> dict[str, object]:
    """One JSON request; the answer. Raises `urllib.error.HTTPError`."""
    data = None if body is None else json.dumps(body).encode()
    all_headers = {"content-type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, all_headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def home_of(flavour: Flavour) -> tuple[pathlib.Path, pathlib.Path]:
    """The unpacked server, not to be changed, and a JDK that fits it. Raises `cache.UnavailableError`."""
    return _distribution(flavour), _java(flavour.oldest_java)


def _java(oldest: int) -> pathlib.Path:
    """The oldest full JDK that is new enough."""
    homes = [os.environ.get("JAVA_HOME", ""), *map(str, pathlib.Path("/usr/lib/jvm").glob("*"))]
    if java := shutil.which("java"):
        homes.append(str(pathlib.Path(java).resolve().parents[1]))
    found: list[tuple[int, str]] = []
    for home in filter(None, homes):
        release = pathlib.Path(home, "release")
        if not os.access(f"{home}/bin/java", os.X_OK) or not release.is_file():
            continue
        text = release.read_text()
        version, modules = re.search(r'JAVA_VERSION="(\d+)', text), re.search(r'MODULES="(.*)"', text)
        if version and int(version[1]) >= oldest and (not modules or "jdk.jdi" in modules[1].split()):
            found.append((int(version[1]), home))
    if not found:
        raise cache.UnavailableError(f"no full JDK {oldest} or newer (looked at {', '.join(sorted(set(homes)))})")
    return pathlib.Path(min(found)[1])


def _distribution(flavour: Flavour) -> pathlib.Path:
    """The unpacked server; fetched by the first process that needs it, while others wait."""
    name = flavour.name
    home = cache.folder() / name
    with cache.locked(name):
        if not home.exists():
            with tempfile.TemporaryDirectory(dir=cache.folder()) as folder:
                _unpack(_archive(folder, flavour), pathlib.Path(folder), name).rename(home)
    return home


def _archive(folder: str, flavour: Flavour) -> pathlib.Path:
    """The zip: from `~/.cache/tidegate-tests/zips` where somebody put it, else through Maven."""
    name, artifact = flavour.name, f"{flavour.artifact}:{flavour.version}"
    kept = pathlib.Path("~/.cache/tidegate-tests/zips").expanduser() / f"{name}.zip"
    if kept.is_file():
        return kept
    maven = shutil.which("mvn")
    if maven is None:
        raise cache.UnavailableError(f"mvn is not installed, and {name} is not in the cache")
    command = [maven, "-B", "-q", MAVEN_COPY, f"-Dartifact={artifact}:zip", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    fetched = pathlib.Path(folder, f"{name}.zip")
    if done.returncode or not fetched.is_file():
        raise cache.UnavailableError(f"Maven cannot fetch {artifact}: {done.stdout[-600:]}{done.stderr[-300:]}")
    return fetched


def _unpack(archive: pathlib.Path, folder: pathlib.Path, name: str) -> pathlib.Path:
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    subprocess.run(["chmod", "-R", "a+rX,u+w", str(folder / name)], check=True)
    for script in (folder / name / "bin").iterdir():
        script.chmod(0o755)
    return folder / name
