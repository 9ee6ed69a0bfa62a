"""How long offline commands take to start, against `pip --version` (a Python command line everybody has) in the same run."""

from __future__ import annotations

import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[1]
ROUNDS = 9
COMMANDS = {
    "tidegate --version": ["-m", "tidegate", "--version"],
    "tidegate check": ["-m", "tidegate", "check", "--config", "examples/shop/tidegate.yaml"],
    "tidegate test rules": ["-m", "tidegate", "test", "rules", "rules/tests/shop_test.yaml"],
}
PEER = ["-m", "pip", "--version"]


def seconds(arguments: list[str]) -> float:
    """Wall seconds of one run."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{arguments} failed:\n{done.stdout.decode()}{done.stderr.decode()}")
    return time.perf_counter() - started


def main() -> None:
    """Rounds in turn, so that all see the same noise; medians."""
    found: dict[str, list[float]] = {name: [] for name in [*COMMANDS, "pip --version"]}
    for _ in range(ROUNDS):
        for name, arguments in COMMANDS.items():
            found[name].append(seconds(arguments))
        found["pip --version"].append(seconds(PEER))
    peer = statistics.median(found["pip --version"])
    for name, times in found.items():
        middle = statistics.median(times)
        print(f"{name:22} {middle * 1000:6.0f} ms   {middle / peer:5.2f} x pip --version")


if __name__ == "__main__":
    main()
