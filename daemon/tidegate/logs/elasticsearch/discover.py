"""Links to Kibana's Discover that show what a search found: its query, its time range and the data view in the page's address.

Discover reads its state from the part of the address after `#`, in Rison. Times are whole milliseconds there, as in an index.
"""

from __future__ import annotations

import datetime
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from tidegate.logs import kql
from tidegate.logs.kql import interpret, kibana
from tidegate.model import problems, settings

Rison: TypeAlias = "str | bool | int | Mapping[str, Rison] | Sequence[Rison] | None"
_PLAIN = re.compile(r"[^\s'!:(),*@$0-9-][^\s'!:(),*@$]*")
COLUMNS = ("log.level", "service.name", "message")
LONGEST = 8000
"""Characters: browsers and chats cut longer addresses, and a cut one would show other lines."""


def link(config: settings.Kibana, query: str, start: int, end: int) -> str:
    """The address, from and to whole milliseconds, both included.

    Empty without a Kibana, when Kibana has no words for the query, or when the address would be too long.
    """
    if not config.url:
        return ""
    try:
        shown = kibana.text(interpret.of(kql.parse(query)))
    except problems.QueryError:
        return ""
    time: Rison = {"from": _iso(start), "to": _iso(end)}
    own: Rison = {
        "columns": COLUMNS,
        "dataSource": {"dataViewId": config.data_view, "type": "dataView"},
        "filters": (),
        "index": config.data_view,
        "query": {"language": "kuery", "query": shown},
        "sort": (("@timestamp", "desc"),),
    }
    state = f"_g={_encoded({'filters': (), 'time': time})}&_a={_encoded(own)}"
    address = f"{config.url.rstrip('/')}/app/discover#/?{state}"
    return address if len(address) <= LONGEST else ""


def rison(value: Rison) -> str:
    """A value in Rison."""
    match value:
        case None | bool():
            return {None: "!n", True: "!t", False: "!f"}[value]
        case str():
            escaped = value.replace("!", "!!").replace("'", "!'")
            return value if _PLAIN.fullmatch(value) else f"'{escaped}'"
        case Mapping():
            return "(" + ",".join(f"{rison(name)}:{rison(below)}" for name, below in sorted(value.items())) + ")"
        case int():
            return str(value)
    return "!(" + ",".join(map(rison, value)) + ")"


def _encoded(value: Rison) -> str:
    return urllib.parse.quote(rison(value), safe="!'(),:*@$-_.~/")


def _iso(milliseconds: int) -> str:
    at = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=milliseconds)
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
