"""The shippers that are compared, each as the process that its users run, reading one folder into one sink.

Filebeat reads CRI, decodes the JSON inside, adds metadata and remembers how far it read, as we do; what another leaves out,
its docstring says.
"""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator

import yaml

from tests.services import cache, filebeat

RSYSLOG_MODULES = ("/usr/lib/x86_64-linux-gnu/rsyslog", "/usr/lib/aarch64-linux-gnu/rsyslog", "/usr/lib64/rsyslog")


RSYSLOG = r"""
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imfile" mode="inotify")
module(load="omelasticsearch")
template(name="doc" type="list") {{
  constant(value="{{\"@timestamp\":\"")
  property(name="timereported" dateFormat="rfc3339")
  constant(value="\",\"log\":{{\"file\":{{\"path\":\"")
  property(name="$!metadata!filename" format="json")
  constant(value="\"}}}},\"message\":\"")
  property(name="msg" format="json")
  constant(value="\"}}\n")
}}
input(
  type="imfile" File="{logs}/*.log" Tag="shop" addMetadata="on" freshStartTail="off" reopenOnTruncate="on" ruleset="r"
)
ruleset(name="r" queue.type="LinkedList" queue.size="50000" queue.dequeueBatchSize="5000") {{
  action(
    type="omelasticsearch" server="127.0.0.1" serverport="{port}" template="doc" searchIndex="logs-shop-default"
    searchType="" bulkmode="on" maxbytes="10m"
  )
}}
"""


@contextlib.contextmanager
def _process(command: list[str], folder: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "out.txt").open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def tidegate(
    logs: pathlib.Path, url: str, folder: pathlib.Path, *, gzip: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Our agent."""
    config = {
        "data_dir": "data",
        "log_level": "error",
        "web": {"listen": "127.0.0.1:0"},
        "logs": {
            "inputs": [{"paths": [f"{logs}/*.log"], "format": "cri", "dataset": "shop", "environment": "production"}],
            "elasticsearch": {"urls": [url], "compress": gzip},
        },
    }
    (folder / "tidegate.yaml").write_text(yaml.safe_dump(config))
    program = str(pathlib.Path(sys.executable).with_name("tidegate"))
    with _process([program, "agent", "--config", "tidegate.yaml"], folder) as process:
        yield process


@contextlib.contextmanager
def beats(
    logs: pathlib.Path, url: str, folder: pathlib.Path, *, gzip: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Filebeat, with the batch size that suits it best here."""
    read = {
        "type": "filestream",
        "id": "bench",
        "enabled": True,
        "paths": [f"{logs}/*.log"],
        "parsers": [
            {"container": {"stream": "all", "format": "cri"}},
            {"ndjson": {"target": "app", "message_key": "msg"}},
        ],
    }
    config = {
        "filebeat.inputs": [read],
        "output.elasticsearch": {
            "hosts": [url],
            "bulk_max_size": 1600,
            "compression_level": 1 if gzip else 0,
            "worker": 1,
        },
        "processors": [
            {"add_host_metadata": None},
            {"add_fields": {"target": "kubernetes", "fields": {"namespace": "shop", "pod": {"name": "web-1"}}}},
        ],
        "setup.template.enabled": False,
        "setup.ilm.enabled": False,
        "path.home": str(folder),
        "path.data": str(folder / "data"),
        "logging.level": "error",
        "logging.to_files": False,
        "queue.mem": {"events": 16000, "flush.min_events": 1600, "flush.timeout": "1s"},
    }
    (folder / "filebeat.yml").write_text(yaml.safe_dump(config))
    (folder / "filebeat.yml").chmod(0o600)
    command = [str(filebeat.binary()), "-c", str(folder / "filebeat.yml"), "-e", "--strict.perms=false"]
    with _process(command, folder) as process:
        yield process


@contextlib.contextmanager
def rsyslog(
    logs: pathlib.Path, url: str, folder: pathlib.Path, *, gzip: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """rsyslog's imfile and omelasticsearch, which decode nothing and give no ids. Raises `UnavailableError`."""
    program = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")
    modules = next((each for each in RSYSLOG_MODULES if pathlib.Path(each, "omelasticsearch.so").exists()), None)
    if program is None or modules is None or gzip:
        raise cache.UnavailableError("rsyslogd with omelasticsearch is not installed, or has no such option")
    port = url.rpartition(":")[2]
    config = RSYSLOG.format(folder=folder, logs=logs, port=port)
    (folder / "rsyslog.conf").write_text(config)
    command = [program, "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "pid"), "-M", modules]
    with _process(command, folder) as process:
        yield process


@contextlib.contextmanager
def helpers(
    logs: pathlib.Path, url: str, folder: pathlib.Path, *, gzip: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """A script around `elasticsearch.helpers.streaming_bulk`, as one writes it: the same documents and ids, no checkpoint."""
    script = [sys.executable, "-m", "benchmarks.ship.script", str(logs), url, "gzip" if gzip else "plain"]
    with (folder / "out.txt").open("wb") as out:
        process = subprocess.Popen(script, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
