"""`make run`: the shop and Tidegate on this machine, until Ctrl-C."""

from __future__ import annotations

import pathlib
import signal
import sys
import time

from examples.shop import processes

HERE = pathlib.Path(__file__).parent
PAGE = "http://127.0.0.1:9320"
SHOP = "http://127.0.0.1:9321"

READY = f"""
  Tidegate watches the sample shop.

  The page        {PAGE}/
  The shop        {SHOP}/     (metrics at /metrics)
  It watches      2 targets (the shop, Tidegate itself), 3 log files in data/shop-logs, the rules in rules/

  Try, in a second terminal:

    curl '{SHOP}/break?what=errors'
    .venv/bin/tidegate gate wait --env production --service shop --version 1.1.0 --fail-fast
    curl '{SHOP}/repair'

  Other faults: latency, logs, crash. Alerts are printed here. Ctrl-C stops everything.
"""


def main() -> int:
    """Run until a signal. Exit 1 when it does not come up."""
    for port in (9320, 9321):
        if processes.taken(port):
            print(f"error: something listens on 127.0.0.1:{port} already; stop it first", file=sys.stderr)
            return 1
    logs = processes.ROOT / "data/shop-logs"
    logs.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGINT):  # SIGINT too: a shell may have started us with it ignored
        signal.signal(number, _stop)
    print("starting the shop and Tidegate ...", flush=True)
    try:
        with processes.running(processes.shop(9321, logs), processes.tidegate(HERE / "tidegate.yaml")):
            if not ready(60):
                print("error: Tidegate did not get ready; its log above says why", file=sys.stderr)
                return 1
            print(READY, flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
    return 0


def _stop(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def ready(seconds: float) -> bool:
    """Wait for the first evaluation of the rules."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if processes.get(f"{PAGE}/-/ready")[0] == 200:
            return True
        time.sleep(0.2)
    return False


if __name__ == "__main__":
    sys.exit(main())
