"""Whether an OpenMetrics exposition keeps all of the specification: what its samples are called, their order and values.

A scrape is held to the grammar only (`scrape.openmetrics`), as in Prometheus: an exporter that is careless here is still
scraped. This judges whole expositions, for those who write exporters. Errors say line and column.

https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

import dataclasses
import decimal
import math

from tidegate.model import labels as labels_
from tidegate.scrape import histograms, lines, openmetrics

_SUFFIXES = {
    "counter": ("_total", "_created"),
    "summary": ("", "_count", "_sum", "_created"),
    "histogram": ("_count", "_sum", "_bucket", "_created"),
    "gaugehistogram": ("_gcount", "_gsum", "_bucket"),
    "info": ("_info",),
}
"""What may follow a family's name in its samples' names, by type; nothing for the other types."""
_NOT_NEGATIVE = ("_total", "_sum", "_count", "_bucket", "_gcount")
_NEVER_NAN = (*_NOT_NEGATIVE, "_gsum")
_WITHOUT_UNIT = ("info", "stateset")
_EXEMPLARS = {"histogram": "_bucket", "gaugehistogram": "_bucket", "counter": "_total"}
"""The samples that may have exemplars, by type."""
_EXACT = decimal.Context(prec=400)
_EXEMPLAR_LENGTH = 128
"""Characters of an exemplar's label names and values."""


@dataclasses.dataclass(slots=True)
class _Family:
    """A metric family while its lines are read."""

    name: str
    place: lines.Reader
    """Its first line."""
    kind: str = "unknown"
    unit: str = ""
    said: set[str] = dataclasses.field(default_factory=set)
    """The kinds of comments that were read."""
    samples: int = 0
    group: labels_.Labels | None = None
    """The labels that the samples of the current metric share."""
    groups: set[labels_.Labels] = dataclasses.field(default_factory=set)
    """All that were met."""
    at: int | None = None
    """Nanoseconds, of the last sample."""
    series: set[labels_.Labels] = dataclasses.field(default_factory=set)
    """Those of the current metric at this time."""

    def suffixes(self) -> tuple[str, ...]:
        """What may follow its name in the names of its samples."""
        return _SUFFIXES.get(self.kind, ("",))

    def takes(self, name: str) -> bool:
        """Whether a sample's name is one of this family's."""
        return name.startswith(self.name) and name[len(self.name) :] in self.suffixes()


def check(body: bytes) -> None:
    """Judge an exposition. Raises `TransientError` (reason `parse`) with line and column."""
    judge = _Judge()
    for number, line in enumerate(openmetrics.body_lines(body.decode("utf-8", "surrogateescape")), 1):
        judge.line(lines.Reader(line, number, loose=False))
    judge.leave()


class _Judge:
    """Takes one line after the other."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._family: _Family | None = None
        self._histogram = histograms.Check()

    def line(self, place: lines.Reader) -> None:
        """The next line."""
        if place.line.startswith("#"):
            kind, name, text = openmetrics.comment(place.line, place.number)
            family = self._family
            _say(family if family and family.name == name else self._enter(name, place), kind, text, place)
            return
        sample = openmetrics.sample(place.line, place.number)
        _no_spare_commas(place)
        sample = dataclasses.replace(sample, labels=labels_.make(sample.labels))
        name = labels_.get(sample.labels, labels_.NAME)
        family = self._family
        self._take(family if family and family.takes(name) else self._enter(name, place), name, sample, place)

    def leave(self) -> None:
        """The family has ended: no other may use its names."""
        family = self._family
        if family is None:
            return
        self._histogram.end()
        for suffix in {*family.suffixes(), ""}:
            name = family.name + suffix
            if name in self._names:
                raise family.place.error(0, f"the name {name!r} belongs to a family that ended before")
            self._names.add(name)

    def _enter(self, name: str, place: lines.Reader) -> _Family:
        self.leave()
        self._family = family = _Family(name, place)
        self._histogram = histograms.Check()
        return family

    def _take(self, family: _Family, name: str, sample: lines.Sample, place: lines.Reader) -> None:
        family.samples += 1
        suffix = name[len(family.name) :]
        _labels(family, suffix, sample, place)
        group = _group(family, suffix, sample)
        repeated = _order(family, group, sample, place)
        _value(family, suffix, sample, place)
        _exemplar(family, suffix, sample, place)
        if family.kind in ("histogram", "gaugehistogram") and not repeated:
            self._histogram.add(suffix, (group, family.at), sample, place)


def _say(family: _Family, kind: str, text: str, place: lines.Reader) -> None:
    """A comment: each kind once, before the samples."""
    if family.samples:
        raise place.error(0, f"{kind} after the family's samples")
    if kind in family.said:
        raise place.error(0, f"a second {kind} of the family")
    family.said.add(kind)
    if kind == "TYPE":
        family.kind = text
    elif kind == "UNIT":
        family.unit = text
    if family.unit and family.kind in _WITHOUT_UNIT:
        raise place.error(0, f"a family of type {family.kind} has no unit")


def _no_spare_commas(place: lines.Reader) -> None:
    """A comma after the last label is let pass by the grammar, for Prometheus does."""
    reader = lines.Reader(place.line, place.number, loose=False)
    reader.series()
    _no_spare_comma(reader)
    found = place.line.find(openmetrics.EXEMPLAR, reader.at)
    if found >= 0:
        reader.at = found + len(openmetrics.EXEMPLAR)
        reader.label_set()
        _no_spare_comma(reader)


def _no_spare_comma(reader: lines.Reader) -> None:
    if reader.line.endswith(",}", 0, reader.at):
        raise reader.error(reader.at - 2, "a comma after the last label")


def _labels(family: _Family, suffix: str, sample: lines.Sample, place: lines.Reader) -> None:
    """The labels that a type asks for."""
    if family.kind == "stateset" and not _has(sample, family.name):
        raise place.error(0, f"a state needs the label {family.name!r}")
    if suffix == "_bucket" and family.kind != "counter" and not histograms.bound(labels_.get(sample.labels, "le")):
        raise place.error(0, "a bucket needs the label `le` with a number, `+Inf` for the last")
    if family.kind == "summary" and not suffix:
        quantile = lines.number(labels_.get(sample.labels, "quantile"))
        if quantile is None or not 0 <= quantile <= 1:
            raise place.error(0, "the label `quantile` needs a number from 0 to 1")


def _has(sample: lines.Sample, name: str) -> bool:
    return any(label == name for label, _ in sample.labels)


def _group(family: _Family, suffix: str, sample: lines.Sample) -> labels_.Labels:
    """The labels of the metric that a sample is part of."""
    if family.kind == "info":
        return ()  # the labels of an info are its value
    own = {("summary", ""): "quantile", ("stateset", ""): family.name}.get((family.kind, suffix), "")
    return labels_.without(sample.labels, labels_.NAME, "le" if suffix == "_bucket" else own)


def _order(family: _Family, group: labels_.Labels, sample: lines.Sample, place: lines.Reader) -> bool:
    """A metric's samples stand together, and its times do not go back. Whether a series repeats within a nanosecond."""
    at = int(_EXACT.scaleb(_EXACT.create_decimal(sample.stamp), 9)) if sample.stamp else None
    if family.group != group:
        if group in family.groups:
            raise place.error(0, "samples of one metric do not stand together")
        family.groups.add(group)
    elif (at is None) != (family.at is None):
        raise place.error(0, "some samples of one metric have a timestamp, and some have not")
    elif at is not None and family.at is not None and at < family.at and family.kind != "info":
        raise place.error(0, "timestamps of one metric go back")
    if (family.group, family.at) != (group, at):
        family.series.clear()
    family.group, family.at = group, at
    repeated = sample.labels in family.series
    if repeated and at is None:
        raise place.error(0, "the series stands twice")
    family.series.add(sample.labels)
    return repeated


def _value(family: _Family, suffix: str, sample: lines.Sample, place: lines.Reader) -> None:
    """The values that a type allows."""
    value = sample.value
    if family.kind == "stateset" and value not in (0, 1):
        raise place.error(0, "a state is 0 or 1")
    if family.kind == "info" and value != 1:
        raise place.error(0, "the value of an info is 1")
    if family.kind == "summary" and not suffix and value < 0:
        raise place.error(0, "a quantile is negative")
    if suffix in _NEVER_NAN and math.isnan(value):
        raise place.error(0, f"the value of {suffix} is not a number")
    if suffix in _NOT_NEGATIVE and value < 0:
        raise place.error(0, f"the value of {suffix} is negative")
    if suffix in ("_bucket", "_count", "_gcount") and not value.is_integer():
        raise place.error(0, f"the value of {suffix} is not whole")


def _exemplar(family: _Family, suffix: str, sample: lines.Sample, place: lines.Reader) -> None:
    """Where exemplars may stand, and how long they may be."""
    if sample.exemplar is None:
        return
    if not suffix or _EXEMPLARS.get(family.kind) != suffix:
        raise place.error(0, "no exemplar may stand here")
    if sum(len(name) + len(text) for name, text in sample.exemplar.labels) > _EXEMPLAR_LENGTH:
        raise place.error(0, f"the labels of the exemplar are longer than {_EXEMPLAR_LENGTH} characters")
