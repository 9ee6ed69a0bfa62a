"""One file on its way to documents: reads a block, unwraps, joins, parses, encodes.

Runs in a thread, one step at a time, and holds the state between steps: parts of cut lines, events that may go on. What a
step found comes back as a `Chunk`; the loop puts it into batches and writes the ledger.
"""

from __future__ import annotations

import dataclasses

from tidegate.logs.ecs import encode, received
from tidegate.logs.formats import base, choice, multiline, times
from tidegate.logs.process import limits, redact
from tidegate.logs.read import checkpoint, files, shapes, tail
from tidegate.model import settings

SHAPED = frozenset({"auto", "cri", "json"})
"""Formats whose lines may have a shape."""
PARTS_PATIENCE = 30.0
"""Seconds after which parts of a line whose end never came are sent as they are."""


@dataclasses.dataclass(slots=True)
class Chunk:
    """What one step found."""

    ledger: checkpoint.Ledger
    stream: str
    position: int = 0
    mark: str = ""
    ids: list[str] = dataclasses.field(default_factory=list)
    bodies: list[bytes] = dataclasses.field(default_factory=list)
    lines: int = 0
    read: int = 0
    """Bytes consumed."""
    cut: int = 0
    """Lines cut, or left out of a trace that was too long."""
    unparsed: int = 0
    """Lines that the input's format did not take, kept as text."""
    untimed: int = 0
    """Lines whose time could not be read."""
    redacted: dict[str, int] = dataclasses.field(default_factory=dict)
    """Replacements by rule."""
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)
    """Lines left out by `sample` and `rate`."""
    lost: int = 0
    """Bytes that vanished before they were read."""
    rewritten: bool = False
    before: checkpoint.Entry | None = None
    """With `rewritten`, what was known of the content before and how far it was read: a copy of it may be about."""
    durable: bool = False
    """The checkpoint must be on disk before these documents are sent, or a restart would give them other ids."""
    more: bool = False
    """There is probably more to read right now."""


@dataclasses.dataclass(slots=True)
class _Parts:
    """Parts of a line that the container runtime cut."""

    start: int
    since: float
    pieces: list[bytes]
    size: int
    time: str
    end: int = 0
    cut: bool = False


class Source:
    """One file, one generation of its content at a time."""

    def __init__(
        self,
        path: str,
        key: files.Key,
        input_: settings.LogInput,
        *,
        host: str,
        longest: int,
        entry: checkpoint.Entry | None = None,
    ) -> None:
        self.path = path
        """What its lines say they are from: its name when its content began, also after a rename."""
        self.found = path
        """Where its pattern leads to it now."""
        self.host = host
        self.entry = entry
        """What the checkpoint knows of it, until the file was looked into."""
        self.generation = entry.generation if entry else 0
        self.file_id = ""
        self.first = b""
        self.tail = tail.Tail(path, key, entry.offset if entry else 0, longest)
        self.tail.size = entry.size if entry else 0
        self.ledger = checkpoint.Ledger(entry.offset if entry else 0, entry.mark if entry else files.digest(b""))
        self.cuts: set[tuple[str, int]] = set(entry.cuts) if entry else set()
        self.read_at = 0.0
        """When it last gave bytes (unix seconds)."""
        self._longest = longest
        self._settled = False
        self._pending: dict[str, multiline.Event] = {}
        self._parts: dict[str, _Parts] = {}
        self._spans: list[tuple[int, int]] = []
        self._chunk: Chunk
        """What the step under way found."""
        self._now = 0.0
        self._created = ""
        self._limits: limits.Limits | None = None
        self.use(input_)

    def use(self, input_: settings.LogInput) -> None:
        """Go on under an input's (new) settings."""
        self.input = input_
        self._choice = choice.of(input_)
        self._split, self._parse = self._choice.split, self._choice.parse
        self._redactor = redact.of(input_)
        omitted = self._limits.omitted if self._limits else None
        self._limits = limits.of(input_.limits) or (limits.Limits(input_.limits) if omitted else None)
        if self._limits:
            self._limits.omitted = omitted
        static = encode.Static.of(input_, self.path, self.host)
        self._stream = static.stream
        self._encoder = received.Encoder(static) if input_.format == "spool" else encode.Encoder(static)
        shaped = self._limits is None and input_.format in SHAPED
        self._shapes = shapes.Shapes(self._sampled) if shaped else None

    @property
    def key(self) -> files.Key:
        """Device and inode."""
        return self.tail.key

    @property
    def holding(self) -> bool:
        """Whether lines are held back that may go on, or lines left out are to be told of."""
        return bool(self._pending or self._parts) or (self._limits is not None and self._limits.omitted is not None)

    @property
    def unread(self) -> int:
        """Bytes seen in the file and not read yet."""
        return self.tail.size - self.tail.position

    def start_at_end(self) -> None:
        """Pass over what the file holds now. Only before the first step."""
        self.tail.open()
        size = self.tail.size
        self.ledger = checkpoint.Ledger(size, self.tail.mark_before(size))
        self.tail.close()
        self.tail = tail.Tail(self.path, self.key, size, self._longest)

    # --- steps, in a thread -------------------------------------------------------------------------------------

    def step(self, now: float, *, final: bool = False) -> Chunk:
        """Read and encode one block. With `final` all that is held back is given, too: no more will come.

        Raises `tail.GoneError`, or `OSError` when the file may not be read.
        """
        chunk = self._begin(now)
        self.tail.open()
        if not self._settled:
            self._settle()
        self.tail.look()
        before = self.tail.position
        try:
            block = self.tail.read(final=final)
        except tail.RewrittenError as error:
            return self._rewritten(error)
        chunk.read = self.tail.position - before
        if chunk.read:
            self.read_at = now
        if block is not None:
            self._block(block)
        chunk.more = chunk.lines >= tail.MOST_LINES or chunk.read >= tail.BLOCK // 2
        if final and not chunk.more:
            self._release(now, everything=True)
        return self._end()

    def flush(self, now: float) -> Chunk:
        """Give the events that were quiet long enough to be taken for whole."""
        chunk = self._begin(now)
        self.tail.open()
        self._release(now, everything=False)
        return self._end() if chunk.ids else chunk

    def _begin(self, now: float) -> Chunk:
        self._now = now
        self._chunk = Chunk(self.ledger, self._stream, self.ledger.position, self.ledger.mark)
        self._created = times.stamp(now)
        self._encoder.created(self._created)
        if self._shapes is not None:
            self._shapes.created(self._created)
        return self._chunk

    def _end(self) -> Chunk:
        chunk = self._chunk
        chunk.unparsed, self._choice.unparsed = self._choice.unparsed, 0
        if self._limits is not None and self._limits.due(self._now):
            self._tell()
        chunk.position, chunk.mark = self._resume(), self.ledger.mark
        if chunk.position != self.ledger.position:
            chunk.mark = self.tail.mark_before(chunk.position)
        if self._redactor is not None:
            self._redact()
        del self._chunk  # of many files, what one gave last would be held by each
        return chunk

    def _redact(self) -> None:
        """Replace what is secret in all that this step gives."""
        if self._redactor is not None and self._chunk.bodies:
            self._chunk.bodies = self._redactor.bodies(self._chunk.bodies)
            self._chunk.redacted = self._redactor.take()

    def _settle(self) -> None:
        """Compare the file with what the checkpoint knows of it: go on, or begin a new generation."""
        self._settled = True
        entry, self.entry = self.entry, None
        fd = self.tail.fd
        if entry is None:
            return
        start = files.first_line(fd)[: entry.first_length]
        same = (
            self.tail.size >= entry.offset
            and len(start) == entry.first_length
            and files.digest(start) == entry.first_digest
            and self.tail.mark_before(entry.offset) == entry.mark
        )
        if same:
            self.file_id, self.first = entry.file_id, start
        else:
            self._chunk.rewritten = not entry.gone_at
            self._chunk.lost = 0 if entry.gone_at else max(entry.size - entry.offset, 0)
            self._chunk.before = None if entry.gone_at else entry
            self._new_generation()
            self._chunk.ledger = self.ledger

    def _rewritten(self, error: tail.RewrittenError) -> Chunk:
        """The content is gone: give what is held back of it, and begin anew."""
        before = self.known(error.lost)
        self._release(self._now, everything=True)
        chunk = self._chunk
        chunk.before = before
        chunk.rewritten, chunk.lost, chunk.more = True, error.lost, True
        self._redact()
        self._new_generation()
        del self._chunk
        return chunk

    def known(self, unread: int = 0) -> checkpoint.Entry:
        """The content up to where it was read, as the checkpoint would know it."""
        position = self.tail.position
        return checkpoint.Entry(
            self.key,
            self.path,
            self.tail.path,
            self.file_id,
            self.generation,
            len(self.first),
            files.digest(self.first),
            position,
            self.tail.mark,
            position + unread,
            tuple(self.cuts),
        )

    def _new_generation(self) -> None:
        self.generation += 1
        self.file_id, self.first = "", b""
        self.cuts.clear()
        self._spans.clear()
        self._pending.clear()
        self._parts.clear()
        self.tail.begin_anew()
        self.ledger = checkpoint.Ledger(0, files.digest(b""))
        if self.path != self.found:  # not a file that was renamed but another one, in its place on the disk
            self.path = self.found
            self.use(self.input)
            self._encoder.created(self._created)

    def _identify(self) -> None:
        """Make the id that the documents' ids begin with."""
        self.first = files.first_line(self.tail.fd)
        self.file_id = files.file_id(self.key, self.first, self.host, self.generation)
        if self.generation:
            self._chunk.durable = True

    # --- lines --------------------------------------------------------------------------------------------------

    def _block(self, block: tail.Block) -> None:
        if not self.file_id:
            self._identify()
        start = block.start
        lines = block.lines
        self._chunk.lines += len(lines)
        if start == 0 and lines[0].startswith(tail.BOM):
            self._line(lines[0][len(tail.BOM) :], 0, len(lines[0]) + 1, block.cut)
            start = len(lines[0]) + 1
            lines = lines[1:]
        if self._shapes is not None and not block.cut:
            self._shaped(lines, start, self._shapes)
            return
        take = self._line
        for raw in lines:
            end = start + len(raw) + 1
            take(raw, start, end, block.cut)
            start = end

    def _shaped(self, lines: list[bytes], start: int, known: shapes.Shapes) -> None:
        """Lines of which most are like lines before: the same documents, sooner."""
        body, ids, bodies, took = known.taker(), self._chunk.ids, self._chunk.bodies, 0
        longest, prefix = min(self._longest, shapes.LONGEST), self.file_id
        pending, parts = self._pending, self._parts
        for raw in lines:
            size = len(raw)
            if pending or parts or size > longest or (made := body(raw, start)) is None:
                self._line(raw, start, start + size + 1, False)  # noqa: FBT003 - not cut
                known.missed(raw)
            else:
                ids.append(f"{prefix}{start:010x}")
                bodies.append(made)
                took += 1
            start += size + 1
        known.took(took)

    def _sampled(self, raw: bytes) -> bytes | None:
        """The document of a line that is in no file, by the long way; None when there is more to tell of it."""
        if self._pending or self._parts:
            return None
        chunk, self._chunk = self._chunk, Chunk(self.ledger, self._stream)
        created, self._created = self._created, shapes.CREATED
        unparsed = self._choice.unparsed
        self._encoder.created(shapes.CREATED)
        try:
            self._line(raw, shapes.OFFSET, shapes.OFFSET + len(raw) + 1, False)  # noqa: FBT003 - not cut
            made = self._chunk
            plain = not (self._pending or self._parts or made.cut or made.untimed or self._choice.unparsed != unparsed)
            return made.bodies[0] if plain and len(made.bodies) == 1 else None
        finally:
            self._pending.clear()
            self._parts.clear()
            self._choice.unparsed = unparsed
            self._chunk, self._created = chunk, created
            self._encoder.created(created)

    def _line(self, raw: bytes, start: int, end: int, cut: bool) -> None:
        if len(raw) > self._longest:
            raw, cut = raw[: self._longest], True
        if raw.endswith(b"\r"):
            raw = raw[:-1]
        time = stream = ""
        if self._split is not None and (wrapped := self._split(raw)) is not None:
            time, stream, partial, raw = wrapped
            if partial or stream in self._parts:
                joined = self._join(wrapped, start, end, cut)
                if joined is None:
                    return
                raw, time, start, cut = b"".join(joined.pieces), joined.time, joined.start, joined.cut
        if cut:
            self._chunk.cut += 1
        self._content(raw, time, stream, start, end, cut=cut)

    def _join(self, wrapped: base.Wrapped, start: int, end: int, cut: bool) -> _Parts | None:
        """Collect a part; all of them when this was the last."""
        parts = self._parts.get(wrapped.stream)
        if parts is None:
            parts = self._parts[wrapped.stream] = _Parts(start, self._now, [], 0, wrapped.time)
        room = self._longest - parts.size
        parts.pieces.append(wrapped.content[:room])
        parts.size += len(parts.pieces[-1])
        parts.cut = parts.cut or cut or len(wrapped.content) > room
        parts.end = end
        if wrapped.partial and (wrapped.stream, end) not in self.cuts:
            return None
        self._span(parts.start, end)
        return self._parts.pop(wrapped.stream)

    def _content(self, raw: bytes, time: str, stream: str, start: int, end: int, *, cut: bool) -> None:
        pending = self._pending.get(stream)
        if not raw or raw.isspace():
            if pending is not None:
                multiline.blank(pending)
            return
        line = self._parse(raw)
        if not line.zoned and (not time or self._choice.given):
            self._untold(line)
        if time and not (line.zoned and line.time):
            line.time = time
        if len(raw) > base.LONGEST_LABEL and base.shorten(line):
            self._chunk.cut += 1
            cut = True
        rules = self.input.multiline
        if line.structured or not rules.enabled:
            if pending is not None:
                self._emit(stream, pending)
            self._write(line, start, 1, cut, stream)
            return
        if pending is not None:
            if multiline.continues(pending, line.message):
                multiline.add(pending, line.message, end, rules.max_lines, self._longest)
                self._check_cut(stream, pending)
                return
            self._emit(stream, pending)
        event = self._pending[stream] = multiline.opens(line, start, end)
        event.truncated = cut
        self._check_cut(stream, event)

    def _untold(self, line: base.Line) -> None:
        """A line that does not tell its time, or not the zone of it."""
        if line.time:
            self._choice.settle(line, self._created)
        elif line.untimed:
            self._chunk.untimed += 1

    def _check_cut(self, stream: str, event: multiline.Event) -> None:
        """After a restart, events that were closed by time are closed at the same place again."""
        if self.cuts and (stream, event.end) in self.cuts:
            self._emit(stream, event)

    def _emit(self, stream: str, event: multiline.Event) -> None:
        self._pending.pop(stream, None)
        self._chunk.cut += event.cut
        if event.lines > 1:
            self._span(event.start, event.end)
        line = multiline.finish(event)
        self._write(line, event.start, event.lines, event.truncated or event.cut > 0, stream)

    def _write(self, line: base.Line, start: int, lines: int, truncated: bool, stream: str) -> None:
        chunk = self._chunk
        name = f"{self.file_id}{start:010x}"
        if self._limits is not None and not self._limits.keep(line, name, start, self._now):
            return
        chunk.ids.append(name if lines == 1 else f"{name}-{lines}")
        chunk.bodies.append(self._encoder.body(line, start, truncated=truncated, stream=stream))

    # --- what is held back --------------------------------------------------------------------------------------

    def _release(self, now: float, *, everything: bool) -> None:
        """Give events and parts that waited long enough, and remember where they were closed."""
        for stream, parts in list(self._parts.items()):
            if everything or now - max(parts.since, self.read_at) >= PARTS_PATIENCE:
                self._parts.pop(stream)
                self._close_at(stream, parts.end)
                self._content(b"".join(parts.pieces), parts.time, stream, parts.start, parts.end, cut=True)
                self._chunk.cut += 1
        if everything or now - self.read_at >= self.input.multiline.flush_after:
            for stream, event in list(self._pending.items()):
                self._close_at(stream, event.end)
                self._emit(stream, event)
        if everything:
            self._tell()

    def _tell(self) -> None:
        """Give the document that says how many lines were left out."""
        if self._limits is None or self._limits.omitted is None:
            return
        omitted, chunk = self._limits.omitted, self._chunk
        for reason, count in omitted.counts.items():
            chunk.left_out[reason] = chunk.left_out.get(reason, 0) + count
        chunk.ids.append(f"{self.file_id}{omitted.start:010x}-left-out-{omitted.total}")
        chunk.bodies.append(self._encoder.body(self._limits.report(), omitted.start))

    def _close_at(self, stream: str, end: int) -> None:
        self.cuts.add((stream, end))
        self._chunk.durable = True

    def _span(self, start: int, end: int) -> None:
        """Remember an event of several lines that others may lie across."""
        if self._pending or self._parts:
            self._spans.append((start, end))

    def _resume(self) -> int:
        """The offset to begin again from, such that no event that was given away lies across it."""
        held = [event.start for event in self._pending.values()] + [parts.start for parts in self._parts.values()]
        if self._limits is not None and self._limits.omitted is not None:
            held.append(self._limits.omitted.start)  # after a restart they are left out again, and told of then
        position = min([self.tail.resume, *held])
        spans = sorted(self._spans, reverse=True)
        for start, end in spans:
            if start < position < end:
                position = start
        # A span with a later start can lie across a position that an earlier one moved; go on until nothing changes.
        while any(start < position < end for start, end in spans):
            position = min(start for start, end in spans if start < position < end)
        if self._spans:
            self._spans = [span for span in self._spans if span[1] > position]
        return position

    def prune(self, committed: int) -> None:
        """Forget closed events in front of a committed offset."""
        if self.cuts:
            self.cuts = {cut for cut in self.cuts if cut[1] > committed}
