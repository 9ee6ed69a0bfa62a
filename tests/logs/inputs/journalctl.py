"""A stand-in for `journalctl --output=json --follow`: strict about what it is asked, over a file of entries.

`python journalctl.py FILE [options]`. FILE holds one JSON entry a line and may grow. A line `die` ends the
program, unless it was started behind an entry.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time

REQUIRED = {"--output=json", "--all", "--follow", "--no-pager", "--quiet"}


def main() -> int:
    """Write entries for ever."""
    path, options = pathlib.Path(sys.argv[1]), set(sys.argv[2:])
    after = [each.partition("=")[2] for each in options if each.startswith("--after-cursor=")]
    lines = [each.partition("=")[2] for each in options if each.startswith("--lines=")]
    units = {each.partition("=")[2] for each in options if each.startswith("--unit=")}
    rest = {each for each in options - REQUIRED if not each.startswith(("--after-cursor=", "--lines=", "--unit="))}
    if not options >= REQUIRED or rest or len(lines) != 1 or len(after) > 1 or lines[0] not in ("all", "0"):
        print(f"bad options: {sorted(options)}", file=sys.stderr)
        return 1
    known = [json.loads(line) for line in path.read_text().splitlines() if line != "die"]
    if after and not any(each["__CURSOR"] == after[0] for each in known):
        print("Failed to seek to cursor: Invalid argument", file=sys.stderr)
        return 1
    waiting = bool(after)
    skip = 0 if lines[0] == "all" else len(known)
    with path.open() as file:
        number = 0
        while True:
            line = file.readline()
            if not line.endswith("\n"):
                file.seek(file.tell() - len(line.encode()))
                sys.stdout.flush()
                time.sleep(0.01)
                continue
            if line == "die\n":
                if after:
                    continue
                print("Journal file is corrupted, ignoring file.", file=sys.stderr)
                return 1
            entry = json.loads(line)
            number += 1
            if number > skip and not waiting and (not units or entry.get("_SYSTEMD_UNIT") in units):
                sys.stdout.write(line)
            waiting = waiting and entry["__CURSOR"] != after[0]


if __name__ == "__main__":
    sys.exit(main())
