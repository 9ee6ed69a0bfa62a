"""Runs every case and prints the table of what was lost and doubled; `--write` renews docs/delivery.md with it.

    python -m tests.faults [--write] [--heavy] [-n WORKERS]

Fails when a test fails, or when a case has no row.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

from tests.faults import table

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[1] / "docs/delivery.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"


def main() -> int:
    """Run, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--write", action="store_true", help="renew docs/delivery.md")
    parser.add_argument("--heavy", action="store_true", help="the larger variants, too")
    parser.add_argument("-n", default="2", help="tests at once")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = pathlib.Path(folder, "rows.jsonl")
        kept.touch()
        failed = _run(kept, given.n, heavy=given.heavy)
        rows = table.load(kept)
    print(table.HEAD)
    for row in rows:
        print(row.text() + ("" if row.server == table.FAKE else f"  ({row.server})"))
    missing = table.missing(rows)
    for name in missing:
        print(f"no row: {name}", file=sys.stderr)
    if given.write and not failed and not missing:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(before + BEGIN + "\n" + table.markdown(rows) + "\n" + END + rest.partition(END)[2])
    return int(failed or bool(missing))


def _run(kept: pathlib.Path, workers: str, *, heavy: bool) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "--dist", "worksteal"]
    command += [str(HERE), str(HERE.parent / "logs/inputs/test_spool.py"), *(["--heavy"] if heavy else [])]
    done = subprocess.run(command, env={**os.environ, table.VARIABLE: str(kept)}, check=False, stdout=sys.stderr)
    return done.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
