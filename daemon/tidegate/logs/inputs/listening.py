"""All inputs of one agent: makes them from the settings, tells the reader of their spools, runs them, one alone if need be."""

from __future__ import annotations

import asyncio
import glob
import pathlib
from collections.abc import Mapping, Sequence
from typing import Protocol

from tidegate.kit import tasks, telemetry, yamlfile
from tidegate.logs.inputs import addresses, base, instruments, journald, lines, otlp, spool, syslog
from tidegate.logs.read import checkpoint
from tidegate.model import ports, problems, receiving, settings

FOLDER = pathlib.Path("logs/spool")
"""In the data directory."""
STEADY = 60.0


class Reader(spool.Reader, Protocol):
    """Who ships the spools."""

    ready: asyncio.Event


class Inputs:
    """Everything that lines are sent to. Raises `ConfigError` for certificates that cannot be used."""

    def __init__(
        self,
        config: settings.Logs,
        data_dir: pathlib.Path,
        folder: pathlib.Path,
        clock: ports.Clock,
        registry: telemetry.Registry,
    ) -> None:
        self._config = config.receive
        self._clock = clock
        self._folder = folder
        self._data = data_dir.resolve() / FOLDER
        self._longest = config.max_line_bytes
        self._metrics = instruments.Instruments(registry)
        self._log = telemetry.logger("logs.inputs")
        self.spools: dict[str, spool.Spool] = {}
        self.running: dict[str, base.Input] = {}
        """Each input by `<kind>-<name>`."""
        found = check(config.receive, folder)
        if found:
            raise problems.ConfigError(found)
        self._files = tuple(self._add(kind, name, one) for kind, group in config.receive for name, one in group.items())

    @property
    def files(self) -> Sequence[settings.LogInput]:
        """What the reader has to read."""
        return self._files

    async def stored(self, entries: Sequence[checkpoint.Entry]) -> None:
        """The reader's checkpoint is on disk."""
        for one in self.spools.values():
            await one.stored(entries)

    def reload(self, config: settings.Logs) -> None:
        """Say so when the settings of inputs changed: they count from the next start."""
        if config.receive != self._config:
            self._log.warning("changes of `logs.receive` count from the next start")

    async def run(self, reader: Reader) -> None:
        """Receive until cancelled, from when the reader knows where it is."""
        await reader.ready.wait()
        for one in self.spools.values():
            one.reader = reader
        running = [asyncio.create_task(self._keep(name, each)) for name, each in self.running.items()]
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await tasks.cancel(*running)
            for one in self.spools.values():
                await one.drain()

    async def _keep(self, name: str, one: base.Input) -> None:
        """Run one input for ever; when it fails, say so and try again later."""
        attempt = 0
        while True:
            started = self._clock.now()
            try:
                await self.spools[name].drain()
                await self.spools[name].open()
                await one.run()
            except Exception as error:  # noqa: BLE001 - one input must not end the others
                self._log.error("an input failed", input=name, reason=f"{type(error).__name__}: {error}")
            self._metrics.restarts.labels(name).inc()
            attempt = 1 if self._clock.now() - started > STEADY else attempt + 1
            await self._clock.sleep(tasks.backoff(attempt))

    def _add(self, kind: str, name: str, config: receiving.Received) -> settings.LogInput:
        label = f"{kind}-{name}"
        folder = self._data / label
        kept = self.spools[label] = spool.Spool(label, folder, config.spool, self._clock, self._metrics)
        place = base.Place(label, kept, self._clock, self._metrics, min(self._longest, kept.largest))
        self.running[label] = self._make(place, config)
        common = receiving.Received.model_fields.keys() - {"spool"}
        return settings.LogInput(
            paths=(f"{glob.escape(str(folder))}/*.spool",),
            format="spool",
            **{name: getattr(config, name) for name in common},
        )

    def _make(self, place: base.Place, config: receiving.Received) -> base.Input:
        match config:
            case receiving.Syslog(protocol="udp"):
                return syslog.Datagrams(place, config)
            case receiving.Syslog():
                return syslog.Streams(place, config, addresses.context(config.tls, self._folder))
            case receiving.Otlp():
                return otlp.Otlp(place, config, addresses.context(config.tls, self._folder))
            case receiving.HttpLines():
                return lines.HttpLines(place, config, addresses.context(config.tls, self._folder))
            case receiving.Journald():
                return journald.Journal(place, config)
        raise TypeError(config)


def check(
    config: receiving.Receive, folder: pathlib.Path, document: yamlfile.Document | None = None
) -> list[problems.Problem]:
    """What is wrong with the inputs, as far as it can be known before they listen."""
    found = []
    groups: Sequence[tuple[str, Mapping[str, receiving.Received]]] = list(config)
    for kind, group in groups:
        for name, one in group.items():
            if isinstance(one, receiving.Syslog | receiving.Http):
                for code, field, text, hint in _wrong(one, folder):
                    path = ("logs", "receive", kind, name, field)
                    summary = f"{kind} input `{name}`: {text}"
                    found.append(
                        document.problem(code, summary, path, hint=hint)
                        if document
                        else problems.Problem(code, summary, hint=hint)
                    )
    return found


def _wrong(one: receiving.Syslog | receiving.Http, folder: pathlib.Path) -> list[tuple[str, str, str, str]]:
    """(code, field, what, hint) of each problem."""
    found = []
    try:
        open_ = not addresses.loopback(one.listen)
    except ValueError as error:
        found.append(("logs-input-address", "listen", str(error), "write it as 127.0.0.1:4318"))
        open_ = False
    token = one.token.get_secret_value() if isinstance(one, receiving.Http) and one.token else ""
    shown = one.tls is not None and one.tls.client_ca_file
    if isinstance(one, receiving.Http) and open_ and not token and not shown:
        text = f"other machines reach {one.listen}, and it has no token"
        found.append(
            ("logs-input-open", "listen", text, "give `token_file`, `tls.client_ca_file`, or a loopback address")
        )
    try:
        addresses.context(one.tls, folder)
    except OSError as error:
        found.append(
            ("logs-input-tls", "tls", f"its certificate cannot be used: {error}", "PEM files, key and certificate")
        )
    return found
