"""Settings of what happens to a line between its file and its document: redaction, sampling and rate limits."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from tidegate.model.section import Duration, Section

Level = Literal["trace", "debug", "info", "notice", "warning", "error", "critical", "other"]
Rule = Literal["secrets", "cards", "email", "ip"]
RuleName = Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]


class LineLimits(Section):
    """Lines left out on purpose. Each file tells, in a document of its own, how many."""

    sample: dict[Level, Annotated[int, pydantic.Field(ge=1)]] = pydantic.Field(default_factory=dict)
    """Keep one of so many lines of a level, e.g. `{debug: 100, info: 10}`; `other` stands for lines without a level. Lines
    of one trace are kept or left out together.
    """
    lines_per_second: float = pydantic.Field(default=0.0, ge=0)
    """Most lines of one file a second, by the time of reading; 0 is no limit."""
    burst: int = pydantic.Field(default=0, ge=0)
    """So many lines may come at once; 0 is ten seconds' worth."""
    report_interval: Duration = 10.0
    """How often a file tells of lines that were left out. The checkpoint waits for that."""

    @property
    def enabled(self) -> bool:
        """Whether any line can be left out."""
        return bool(self.lines_per_second or any(share > 1 for share in self.sample.values()))
