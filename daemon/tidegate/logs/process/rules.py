"""What is redacted: each rule finds one kind of secret in a text, and has a loose form to look for in encoded documents.

The loose form must find all that the rule finds, after JSON's escapes: so it looks at no word's or line's end, and takes an
escape for a blank. Patterns that people give have no loose form of their own; see `Rule.own` and `Rule.apart`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import re2

from tidegate.logs.process import proofs
from tidegate.model import problems

VALUE: Final = "value"
"""The group of a pattern that is replaced; without one all of the match is."""
_GAP: Final = r"(?:\s|\\[tnrf])*"
_GROUP_NAME: Final = re.compile(r"\(\?P?<\w+>")
_WORDS: Final = r"passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?"
_QUOTED: Final = r"\"(?:[^\"\\]|\\.)+\"|'(?:[^'\\]|\\.)+'|[\"'\\]*[^\s\"',;&\\]+"
_ANCHOR: Final = re.compile(r"\\[AzZB]|(?<!\[)\^|\$|\(\?[a-zA-Z]*m")
NAME: Final = (
    r"(?i)passw|passphrase|pwd|secret|credential|authorization|cookie"
    r"|(?:token|api[_-]?key|access[_-]?key|private[_-]?key)(?:[_.](?:value|raw))?\d*_*$"
)
"""Names of fields whose whole value is a secret."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One kind of secret."""

    name: str
    pattern: Any
    """Compiled, for texts."""
    loose: str
    """For encoded documents."""
    proof: Callable[[str], Iterable[tuple[int, int]]] | None = None
    """Gives the parts of a match that really are what was looked for; None takes all of it."""
    names: Any = None
    """Compiled, for names of labels, in which dots became `_`; None where the pattern has no dot."""
    own: bool = False
    """Of the user's: an escape in a document can hide what it looks for."""
    apart: bool = False
    """The pattern may look at where a text begins or ends, so each text must be looked at by itself."""


_SECRETS: Final[Mapping[str, tuple[str, str]]] = {
    "private-key": (
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:.*?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|.*)",
        r"-----(?:BEGIN|END) [A-Z0-9 ]*PRIVATE KEY",
    ),
    "authorization": (
        (
            r"(?i)authorization[\"'\\]*\s*[:=]\s*[\"'\\]*(?P<value>(?:digest|oauth|aws4-hmac-sha256|signature)\s[^\r\n]*"
            r"|(?:[a-z][\w-]*[ \t]+)?[^\s\"',;\\]+)"
        ),
        rf"(?i)authorization[\w.-]*[\"'\\]*{_GAP}[:=]",
    ),
    "bearer": (r"(?i)bearer\s+(?P<value>[a-z0-9._~+/=-]{8,})", rf"(?i)bearer{_GAP}[a-z0-9._~+/=-]{{8}}"),
    "password": (
        rf"(?i)(?:{_WORDS})\d*[\"'\\]*\s*(?:=>|[:=])\s*(?P<value>{_QUOTED})",
        rf"(?i)(?:{_WORDS}|cookie)[\w.-]*[\"'\\]*{_GAP}[:=]",
    ),
    "url-password": (r"://[^\s/:@]*:(?P<value>[^\s/]+)@", r"://[^\s/:@]*:[^\s/]+@"),
    "aws-key": (r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}", ""),
    "github-token": (r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}", ""),
    "slack-token": (r"xox[a-z]-[A-Za-z0-9-]{8,}|hooks[._]slack[._]com/services/[A-Za-z0-9/_-]+", ""),
    "jwt": (r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){0,3}", r"eyJ[\w-]{8,}"),
    "api-key": (
        r"AIza[\w-]{35}|[sr]k_(?:live|test)_[0-9A-Za-z]{10,}|npm_[A-Za-z0-9]{36}|sk-[\w-]{20,}|SG[._][\w-]{16,}[._][\w-]{16,}",
        "",
    ),
}
"""Pattern and loose pattern; an empty one is the pattern itself."""
_OTHERS: Final[Mapping[str, tuple[str, str, Callable[[str], Iterable[tuple[int, int]]] | None]]] = {
    "cards": (r"\d(?:[ -]?\d){12,}", r"\d(?:[ -]?\d){12}", proofs.cards),
    "email": (r"[^\s@\"'<>()\[\],;:=\\][^\s@\"<>()\[\],;:=\\]*@[\w-]+(?:\.[\w-]+)+", r"[^\s@\"\\]@[\w-]", None),
    "ip": (
        r"\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*",
        r"\d[._]\d{1,3}[._]\d{1,3}[._]\d|::[0-9A-Fa-f]|[0-9A-Fa-f]::|(?:[0-9A-Fa-f]{1,4}:){5}",
        proofs.addresses,
    ),
}
_NAMES: Final[Mapping[str, str]] = {
    "jwt": r"eyJ[\w-]{16,}",
    "email": r"[^\s@\"'<>()\[\],;:=\\]+@[\w-]+",
    "ip": r"\d{1,3}(?:_\d{1,3}){3}",
}
_SHOWN: Final = {"cards": "card", "email": "email", "ip": "ip"}


def built_in(name: str) -> tuple[Rule, ...]:
    """The rules behind a name of the setting `redact`."""
    if name == "secrets":
        return tuple(
            Rule(kind, _compiled(text), loose or text, names=_for_names(kind))
            for kind, (text, loose) in _SECRETS.items()
        )
    text, loose, proof = _OTHERS[name]
    return (Rule(_SHOWN[name], _compiled(text), loose, proof, _for_names(name)),)


def _for_names(name: str) -> Any:
    return _compiled(_NAMES[name]) if name in _NAMES else None


def own(name: str, pattern: str) -> Rule:
    """A rule of the user's. Raises `QueryError` for a pattern that is not RE2, or matches nothing at all everywhere."""
    compiled = _compiled(pattern)
    if compiled.search("") is not None:
        raise problems.QueryError("the pattern matches the empty text, so it would be found everywhere")
    return Rule(name, compiled, _GROUP_NAME.sub("(", pattern), own=True, apart=bool(_ANCHOR.search(pattern)))


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    return _compile(pattern)


def prefilter(rules: Iterable[Rule]) -> Any:
    """One pattern over bytes that finds every document that one of the rules may find something in."""
    return _bytes("|".join(f"(?:{rule.loose})" for rule in rules))


@functools.lru_cache(maxsize=64)
def _bytes(pattern: str) -> Any:
    return _compile(pattern.encode())


def _compile(pattern: str | bytes) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise problems.QueryError(f"not an RE2 pattern: {reason}") from None
