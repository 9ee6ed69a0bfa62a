"""Words of a text as Lucene's standard analyzer finds them: Unicode's word boundaries (UAX #29), in lower case.

Close to it, not the whole annex: letters, digits and `_` make words; a single `.`, `'` or `:` joins letters, a single
`.`, `,`, `;` or `'` joins digits; East Asian ideographs are words of one character.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 255
"""Lucene cuts longer words into pieces of this length."""
_IDEOGRAPH = "\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_LETTER = rf"[^\W\d_{_IDEOGRAPH}]"
_ALNUM = rf"[^\W{_IDEOGRAPH}]"
_WORD = re.compile(
    rf"[{_IDEOGRAPH}]"
    rf"|{_ALNUM}+(?:(?:(?<={_LETTER})[.:'\u2019\u00b7](?={_LETTER})|(?<=\d)[.,;'](?=\d)){_ALNUM}+)*"
)


def words(text: str) -> list[str]:
    """The words, in order."""
    out = []
    for found in _WORD.findall(text):
        word = found.lower()
        if word.strip("_"):
            out += [word[at : at + LONGEST] for at in range(0, len(word), LONGEST)]
    return out
