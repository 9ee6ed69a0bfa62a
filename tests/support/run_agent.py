"""A shipper as a process of its own, to be killed by tests: `python -m tests.support.run_agent SETTINGS.json`.

The file holds `data_dir`, `folder` and `logs` (the `logs` section of the settings). SIGTERM ends it in good order.
"""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import signal
import sys

import orjson

from tidegate.kit import clock, telemetry
from tidegate.logs import agent
from tidegate.logs.elasticsearch import bulk
from tidegate.logs.inputs import listening
from tidegate.model import settings


async def main(path: pathlib.Path) -> None:
    """Ship until SIGTERM."""
    given = orjson.loads(path.read_bytes())
    config = settings.Logs.model_validate(given["logs"])
    registry = telemetry.Registry()
    time = clock.SystemClock()
    output = bulk.ElasticsearchOutput(config.elasticsearch, time, registry)
    folder = pathlib.Path(given["folder"])
    data = pathlib.Path(given["data_dir"])
    received = listening.Inputs(config, data, folder, time, registry)
    made = agent.LogAgent(config, data, folder, [output], [], time, registry, host="test", spools=received)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    running = asyncio.create_task(_both(made, received))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await made.close(5.0)
    await output.close()


async def _both(made: agent.LogAgent, received: listening.Inputs) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(made.run())
        group.create_task(received.run(made))


if __name__ == "__main__":
    telemetry.configure("info", "json")
    asyncio.run(main(pathlib.Path(sys.argv[1])))
