"""A real Filebeat for benchmarks: given by `TIDEGATE_TEST_FILEBEAT`, or built from the Go module proxy once.

7.17 is the last one that can be built from there; its module needs its own list of replacements.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from tests.services import cache

MODULE, VERSION = "github.com/elastic/beats/v7", "v7.17.29"


def binary() -> pathlib.Path:
    """The `filebeat` program. Raises `UnavailableError`."""
    if given := os.environ.get("TIDEGATE_TEST_FILEBEAT"):
        return pathlib.Path(given)
    return cache.built(f"filebeat-{VERSION}", _build) / "filebeat"


def _build(folder: pathlib.Path) -> None:
    source = pathlib.Path(json.loads(cache.go("mod", "download", "-json", f"{MODULE}@{VERSION}"))["Dir"])
    with tempfile.TemporaryDirectory() as made:
        for name in ("go.mod", "go.sum"):
            shutil.copyfile(source / name, pathlib.Path(made, name))
            pathlib.Path(made, name).chmod(0o644)
        command = ["go", "build", f"-modfile={made}/go.mod", "-o", str(folder / "filebeat"), "./filebeat"]
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
        if done.returncode:
            raise cache.UnavailableError(f"filebeat cannot be built: {done.stderr[-600:]}")
