"""Grok: patterns by name, `%{NAME}`, `%{NAME:field}` or `%{NAME:field:type}`, worked out to one RE2 pattern.

The names are the usual ones of Logstash and Elasticsearch; the patterns are our own, and RE2 has neither look-around nor
back-references, so a pattern of yours that needs them is refused. A type is taken and not needed: ECS says the types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tidegate.model import problems

GROUP: Final = "g_"
"""What the names of our groups begin with; a number follows."""
_USE: Final = re.compile(r"%\{(?P<name>\w+)(?::(?P<field>[\w.@\[\]-]+))?(?::(?P<type>\w+))?\}")
_LOOSE: Final = re.compile(r"%\{[^}]*\}?")
_NAMED: Final = re.compile(r"\(\?P?<(?P<name>[A-Za-z_][\w.@\[\]-]*)>")
_DEEPEST: Final = 20
_LONGEST: Final = 100_000
_BRACKETS: Final = re.compile(r"\[([^\[\]]+)\]")

TABLE: Final[Mapping[str, str]] = {
    # words and numbers
    "WORD": r"\b\w+\b",
    "NOTSPACE": r"\S+",
    "SPACE": r"\s*",
    "DATA": r".*?",
    "GREEDYDATA": r".*",
    "GREEDYMULTILINE": r"(?s:.*)",
    "QUOTEDSTRING": r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)""",
    "QS": r"%{QUOTEDSTRING}",
    "INT": r"[+-]?\d+",
    "POSINT": r"\b[1-9]\d*\b",
    "NONNEGINT": r"\b\d+\b",
    "BASE10NUM": r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)",
    "NUMBER": r"%{BASE10NUM}",
    "BASE16NUM": r"[+-]?(?:0[xX])?[0-9A-Fa-f]+",
    "BASE16FLOAT": r"[+-]?(?:0[xX])?(?:[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]*)?|\.[0-9A-Fa-f]+)",
    "BOOLEAN": r"(?i:true|false)",
    "UUID": r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "URN": r"urn:[0-9A-Za-z][0-9A-Za-z-]{0,31}:[^\s]+",
    # people and machines
    "USERNAME": r"[\w.-]+",
    "USER": r"%{USERNAME}",
    "EMAILLOCALPART": r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+",
    "EMAILADDRESS": r"%{EMAILLOCALPART}@%{HOSTNAME}",
    "IPV4": r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b",
    "IPV6": r"(?:[0-9A-Fa-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{0,4})(?:%\w+)?",
    "IP": r"(?:%{IPV6}|%{IPV4})",
    "HOSTNAME": r"\b[0-9A-Za-z](?:[0-9A-Za-z_-]{0,62})(?:\.[0-9A-Za-z][0-9A-Za-z_-]{0,62})*\.?",
    "IPORHOST": r"(?:%{IP}|%{HOSTNAME})",
    "HOST": r"%{HOSTNAME}",
    "HOSTPORT": r"%{IPORHOST}:%{POSINT}",
    "MAC": r"(?:(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4})",
    # paths and addresses
    "UNIXPATH": r"(?:/[^\s/]*)+",
    "WINPATH": r"(?:[A-Za-z]:|\\)(?:\\[^\\?*\s]*)+",
    "PATH": r"(?:%{UNIXPATH}|%{WINPATH})",
    "TTY": r"/dev/(?:pts|tty)[\w/]*",
    "URIPROTO": r"[A-Za-z][A-Za-z0-9+.-]*",
    "URIHOST": r"%{IPORHOST}(?::%{POSINT})?",
    "URIPATH": r"(?:/[^\s?#]*)+",
    "URIQUERY": r"[^\s#]*",
    "URIPARAM": r"\?%{URIQUERY}",
    "URIPATHPARAM": r"%{URIPATH}(?:%{URIPARAM})?",
    "URI": r"%{URIPROTO}://(?:%{USER}(?::[^@\s]*)?@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?",
    # times
    "MONTH": r"\b(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b",
    "MONTHNUM": r"(?:0[1-9]|1[0-2]|[1-9])",
    "MONTHNUM2": r"(?:0[1-9]|1[0-2])",
    "MONTHDAY": r"(?:0[1-9]|[12]\d|3[01]|[1-9])",
    "DAY": r"\b(?i:mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)\b",
    "YEAR": r"\d{4}|\d{2}",
    "HOUR": r"(?:2[0-3]|[01]?\d)",
    "MINUTE": r"[0-5]\d",
    "SECOND": r"(?:[0-5]?\d|60)(?:[:.,]\d+)?",
    "TIME": r"%{HOUR}:%{MINUTE}(?::%{SECOND})?",
    "DATE_US": r"%{MONTHNUM}[/-]%{MONTHDAY}[/-](?:%{YEAR})",
    "DATE_EU": r"%{MONTHDAY}[./-]%{MONTHNUM}[./-](?:%{YEAR})",
    "DATE": r"(?:%{DATE_US}|%{DATE_EU})",
    "DATESTAMP": r"%{DATE}[- ]%{TIME}",
    "ISO8601_TIMEZONE": r"(?:Z|[+-]%{HOUR}(?::?%{MINUTE})?)",
    "ISO8601_SECOND": r"%{SECOND}",
    "TIMESTAMP_ISO8601": r"\d{4}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?\s?%{ISO8601_TIMEZONE}?",
    "TZ": r"[A-Z]{3,4}",
    "DATESTAMP_RFC822": r"%{DAY} %{MONTH} %{MONTHDAY} (?:%{YEAR}) %{TIME} %{TZ}",
    "DATESTAMP_RFC2822": r"%{DAY}, %{MONTHDAY} %{MONTH} (?:%{YEAR}) %{TIME} %{ISO8601_TIMEZONE}",
    "DATESTAMP_OTHER": r"%{DAY} %{MONTH} %{MONTHDAY} %{TIME} %{TZ} (?:%{YEAR})",
    "HTTPDATE": r"%{MONTHDAY}/%{MONTH}/\d{4}:%{TIME} %{INT}",
    "HTTPDERROR_DATE": r"%{DAY} %{MONTH} %{MONTHDAY} %{TIME} \d{4}",
    "SYSLOGTIMESTAMP": r"%{MONTH} +%{MONTHDAY} %{TIME}",
    # syslog, levels, whole lines
    "PROG": r"[\x21-\x5a\x5c\x5e-\x7e]+",
    "SYSLOGPROG": r"%{PROG:process.name}(?:\[%{POSINT:process.pid}\])?",
    "SYSLOGHOST": r"%{IPORHOST}",
    "SYSLOGFACILITY": r"<%{NONNEGINT:log.syslog.facility.code}\.%{NONNEGINT:log.syslog.priority}>",
    "SYSLOGBASE": r"%{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?%{SYSLOGHOST:log.syslog.hostname} %{SYSLOGPROG}:",
    "SYSLOGLINE": r"%{SYSLOGBASE} %{GREEDYDATA:message}",
    "LOGLEVEL": r"(?i:trace|debug|info(?:rmation)?|notice|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe|panic|alert"
    r"|emerg(?:ency)?)",
    "JAVACLASS": r"(?:[A-Za-z_$][\w$]*\.)*[A-Za-z_$][\w$]*",
    "JAVAFILE": r"[\w$. -]+",
    "JAVAMETHOD": r"(?:<(?:cl)?init>|[A-Za-z_$][\w$]*)",
    "HTTPDUSER": r"(?:%{EMAILADDRESS}|%{USER})",
    "COMMONAPACHELOG": r"%{IPORHOST:source.address} (?:-|%{HTTPDUSER:label_ident}) (?:-|%{HTTPDUSER:user.name})"
    r' \[%{HTTPDATE:timestamp}\] "(?:%{WORD:http.request.method} %{NOTSPACE:url.original}(?: HTTP/%{NUMBER:http.version})?'
    r'|%{DATA:label_request})" (?:-|%{INT:http.response.status_code}) (?:-|%{INT:http.response.body.bytes})',
    "COMBINEDAPACHELOG": r'%{COMMONAPACHELOG} "(?:-|%{DATA:http.request.referrer})" "(?:-|%{DATA:user_agent.original})"',
}
"""Patterns by name."""


def expand(pattern: str, own: Mapping[str, str], names: list[str]) -> str:
    """The RE2 pattern. The fields go to `names`: group `g_3` fills `names[3]`. Raises `QueryError` with a position."""
    return _expand(pattern, {**TABLE, **own}, names, (), 0)


def _expand(pattern: str, table: Mapping[str, str], names: list[str], inside: tuple[str, ...], base: int) -> str:
    out: list[str] = []
    at = 0
    for use in _LOOSE.finditer(pattern):
        position = base if inside else use.start()
        match = _USE.fullmatch(use[0])
        if match is None:
            raise problems.QueryError(f"{use[0]!r} is not %{{NAME}} or %{{NAME:field}}", position=position)
        out += (_groups(pattern[at : use.start()], names), _one(match, table, names, inside, position))
        at = use.end()
        if sum(map(len, out)) > _LONGEST:
            raise problems.QueryError("the pattern grows too long", position=position)
    out.append(_groups(pattern[at:], names))
    return "".join(out)


def _one(use: re.Match[str], table: Mapping[str, str], names: list[str], inside: tuple[str, ...], position: int) -> str:
    name = use["name"]
    if name not in table:
        raise problems.QueryError(f"there is no grok pattern {name!r}", position=position)
    if name in inside or len(inside) >= _DEEPEST:
        raise problems.QueryError(f"the grok pattern {name!r} is made of itself", position=position)
    opening = "(?:"
    if use["field"]:
        opening = f"(?P<{GROUP}{len(names)}>"
        names.append(_plain(use["field"]))
    return f"{opening}{_expand(table[name], table, names, (*inside, name), position)})"


def _groups(text: str, names: list[str]) -> str:
    """Named groups as grok has them, `(?<field.name>...)`, with names that RE2 takes."""

    def named(match: re.Match[str]) -> str:
        names.append(_plain(match["name"]))
        return f"(?P<{GROUP}{len(names) - 1}>"

    return _NAMED.sub(named, text)


def _plain(field: str) -> str:
    """`[http][request]` as `http.request`."""
    found = _BRACKETS.findall(field)
    return ".".join(found) if found and field.startswith("[") else field
