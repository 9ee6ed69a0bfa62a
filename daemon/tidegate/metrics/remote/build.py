"""From the settings of `remote_write` to receivers, with everything checked that can be wrong. Nothing is sent here."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

from tidegate.kit import access, relabel, yamlfile
from tidegate.metrics.remote import post, send, writer
from tidegate.model import problems, remotewrite, settings


def receivers(
    given: settings.Settings, document: yamlfile.Document, folder: pathlib.Path
) -> tuple[writer.Receiver, ...]:
    """The receivers. Raises `ConfigError` with every problem."""
    wrong = _wrong(given.remote_write, document)
    if wrong:
        raise problems.ConfigError(wrong)
    return tuple(_receiver(one, given.rules.external_labels, folder) for one in given.remote_write)


def _wrong(given: tuple[remotewrite.RemoteWrite, ...], document: yamlfile.Document) -> list[problems.Problem]:
    found, names = [], set[str]()
    for number, one in enumerate(given):
        at = ("remote_write", number)
        if one.called in names:
            what = f"the name {one.called!r} stands twice" if one.name else "the URL stands twice"
            hint = "give each entry a `name` of its own"
            found.append(document.problem("remote-write-twice", what, (*at, "name" if one.name else "url"), hint=hint))
        names.add(one.called)
        for place, step in enumerate(one.write_relabel_configs):
            what = relabel.problem(step.step(legacy_names=False))
            if what:
                path = (*at, "write_relabel_configs", place)
                found.append(document.problem("remote-write-relabel", what, path))
    return found


def _receiver(one: remotewrite.RemoteWrite, external: Mapping[str, str], folder: pathlib.Path) -> writer.Receiver:
    queue, metadata = one.queue_config, one.metadata_config
    target = post.Target(
        one.called,
        one.url,
        access.resolved(one.client(), folder),
        one.protobuf_message,
        one.remote_timeout,
        tuple(sorted(one.headers.items())),
        queue.retry_on_http_429,
    )
    return writer.Receiver(
        target,
        send.Pace(**queue.model_dump(exclude={"retry_on_http_429"})),
        tuple(sorted(external.items())),
        tuple(step.step(legacy_names=False) for step in one.write_relabel_configs),
        metadata.send_interval if metadata.send else 0.0,
        metadata.max_samples_per_send,
    )
