"""Judges the OpenMetrics project's parser cases: `python -m tests.conformance.openmetrics PATH`.

PATH holds folders with a `test.json` (`file`, `shouldParse`) and the exposition it names, or is one such folder. Prints
`passed N of M`, and each case that we judge otherwise.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence

from tidegate.model import problems
from tidegate.scrape import strict


@dataclasses.dataclass(frozen=True)
class Case:
    """One folder."""

    folder: pathlib.Path
    wanted: bool
    error: str
    """What we say against it; empty when we accept it."""

    @property
    def passed(self) -> bool:
        """Whether we judge as the case wants."""
        return self.wanted == (not self.error)


def run(folder: pathlib.Path) -> Case:
    """Judge one folder."""
    given = json.loads((folder / "test.json").read_text())
    try:
        strict.check((folder / given["file"]).read_bytes())
    except problems.TransientError as error:
        return Case(folder, given["shouldParse"], str(error))
    return Case(folder, given["shouldParse"], "")


def cases(path: pathlib.Path) -> list[pathlib.Path]:
    """The folders under a path."""
    return sorted(found.parent for found in path.rglob("test.json"))


def main(args: Sequence[str]) -> int:
    """Judge all under the paths given; 0 when each is judged as it wants."""
    if not args:
        print(__doc__)
        return 2
    results = [run(folder) for arg in args for folder in cases(pathlib.Path(arg))]
    for case in results:
        if not case.passed:
            print(f"FAILED {case.folder.name}: should {'' if case.wanted else 'not '}parse; {case.error or 'accepted'}")
    passed = sum(case.passed for case in results)
    print(f"passed {passed} of {len(results)}")
    return 0 if results and passed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
