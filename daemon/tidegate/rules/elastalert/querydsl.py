"""From Elasticsearch's Query DSL, as far as ElastAlert2's filters use it, to KQL.

A clause that KQL cannot say is refused, never left out: a wider rule would page for what nobody asked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tidegate.rules.elastalert import kqltext, lucene, reading

KindOf: TypeAlias = Callable[[str], str]
"""What kind of field a name is: `text`, `keyword`, `label`, `long`, ..."""


@dataclasses.dataclass(frozen=True, slots=True)
class Where:
    """A place in a rule."""

    path: tuple[str | int, ...]
    kind: KindOf

    def below(self, *steps: str | int) -> Where:
        """A place below it."""
        return dataclasses.replace(self, path=(*self.path, *steps))

    def refuse(self, why: str, hint: str = "") -> reading.NotConvertedError:
        """What stands here cannot be said in KQL."""
        return reading.NotConvertedError(why, self.path, hint)


_SIDES: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "from": ">=", "to": "<="}
_IGNORED: Final = ("boost", "_name", "format", "time_zone", "relation", "case_insensitive")


def filters(given: Any, at: Where) -> str:
    """The `filter` of a rule: all of its clauses hold. Raises `NotConvertedError`."""
    parts = given if isinstance(given, list) else [given]
    return kqltext.every([clause(part, at.below(place)) for place, part in enumerate(parts)])


def clause(given: Any, at: Where) -> str:
    """One clause. Raises `NotConvertedError`."""
    if not isinstance(given, Mapping):
        raise at.refuse("this is no clause of the Query DSL")
    return kqltext.every([_one(str(name), value, at.below(str(name))) for name, value in given.items()])


def _one(name: str, value: Any, at: Where) -> str:
    known = _CLAUSES.get(name)
    if known is None:
        hint = _HINTS.get(name, "write the condition in KQL")
        raise at.refuse(f"`{name}` has no counterpart in KQL", hint)
    return known(value, at)


def _term(value: Any, at: Where) -> str:
    name, wanted = _pair(value, at, "value")
    return f"{kqltext.field(name)}:{kqltext.quoted(wanted)}"


def _terms(value: Any, at: Where) -> str:
    name, wanted = _pair(value, at, "terms")
    if not isinstance(wanted, list):
        raise at.refuse("these terms are looked up elsewhere")
    return values(name, wanted)


def values(name: str, wanted: Sequence[Any]) -> str:
    """A field has one of some values."""
    each = " or ".join(map(kqltext.quoted, wanted))
    return f"{kqltext.field(name)}:{each}" if len(wanted) == 1 else f"{kqltext.field(name)}:({each})"


def _match(value: Any, at: Where) -> str:
    name, wanted = _pair(value, at, "query")
    options = value[name] if isinstance(value[name], Mapping) else {}
    if options.get("fuzziness") or options.get("minimum_should_match"):
        raise at.refuse("KQL knows no fuzziness and no minimum of words")
    if at.kind(name) != "text" or not isinstance(wanted, str) or len(wanted.split()) < 2:
        return f"{kqltext.field(name)}:{kqltext.quoted(wanted)}"
    word = " and " if str(options.get("operator", "or")).lower() == "and" else " or "
    return f"{kqltext.field(name)}:({word.join(map(kqltext.quoted, wanted.split()))})"


def _phrase(value: Any, at: Where) -> str:
    name, wanted = _pair(value, at, "query")
    if isinstance(value[name], Mapping) and value[name].get("slop"):
        raise at.refuse("KQL knows no distance of words")
    return f"{kqltext.field(name)}:{kqltext.quoted(wanted)}"


def _prefix(value: Any, at: Where) -> str:
    name, wanted = _pair(value, at, "value")
    return f"{kqltext.field(name)}:{kqltext.pattern(str(wanted).replace('*', ''))}*"


def _wildcard(value: Any, at: Where) -> str:
    name, wanted = _pair(value, at, "value", "wildcard")
    if "?" in str(wanted):
        raise at.refuse("KQL has no `?` for one character")
    return f"{kqltext.field(name)}:{kqltext.pattern(str(wanted))}"


def _range(value: Any, at: Where) -> str:
    name, sides = _pair(value, at)
    if not isinstance(sides, Mapping):
        raise at.refuse("a range needs `gt`, `gte`, `lt` or `lte`")
    parts = []
    for side, bound in sides.items():
        if side in _SIDES:
            parts.append(f"{kqltext.field(name)} {_SIDES[side]} {lucene.bound(bound)}")
        elif side not in _IGNORED:
            raise at.below(name, side).refuse(f"`{side}` of a range is not known")
    return kqltext.every(parts)


def _exists(value: Any, at: Where) -> str:
    name = value.get("field") if isinstance(value, Mapping) else None
    if not isinstance(name, str):
        raise at.refuse("`exists` needs a `field`")
    return f"{kqltext.field(name)}:*"


def _bool(value: Any, at: Where) -> str:
    if not isinstance(value, Mapping):
        raise at.refuse("`bool` needs clauses")
    parts: dict[str, list[str]] = {}
    for name in ("must", "filter", "should", "must_not"):
        found = value.get(name, [])
        given = found if isinstance(found, list) else [found]
        parts[name] = [clause(one, at.below(name, place)) for place, one in enumerate(given)]
    for name in value:
        if name not in (*parts, "minimum_should_match", *_IGNORED):
            raise at.below(str(name)).refuse(f"`{name}` of a `bool` is not known")
    needed = _needed(value, parts, at)
    sure = [*parts["must"], *parts["filter"], *map(kqltext.neither, parts["must_not"])]
    return kqltext.every([*sure, *([kqltext.some(parts["should"])] if needed else [])])


def _needed(value: Mapping[str, Any], parts: Mapping[str, list[str]], at: Where) -> bool:
    """Whether one of `should` must hold."""
    if not parts["should"]:
        return False
    least = str(value.get("minimum_should_match", 0 if parts["must"] or parts["filter"] else 1))
    if least not in ("0", "1"):
        raise at.below("minimum_should_match").refuse("KQL has no minimum of conditions")
    return least == "1"


def _inner(value: Any, at: Where) -> str:
    if isinstance(value, list):
        return filters(value, at)
    return clause(value, at)


def _not(value: Any, at: Where) -> str:
    return kqltext.neither(_inner(value, at))


def _or(value: Any, at: Where) -> str:
    given = value if isinstance(value, list) else [value]
    return kqltext.some([clause(one, at.below(place)) for place, one in enumerate(given)])


def _query_string(value: Any, at: Where) -> str:
    if not isinstance(value, Mapping) or not isinstance(value.get("query"), str):
        raise at.refuse("`query_string` needs a `query`")
    fields = value.get("fields") or ([value["default_field"]] if value.get("default_field") else [])
    strict = str(value.get("default_operator", "or")).lower() == "and"
    try:
        return lucene.kql(value["query"], [str(one).partition("^")[0] for one in fields], strict=strict)
    except lucene.LuceneError as error:
        raise at.below("query").refuse(str(error)) from None


def _multi_match(value: Any, at: Where) -> str:
    if not isinstance(value, Mapping) or not value.get("fields"):
        raise at.refuse("`multi_match` needs `fields`")
    query = {name: option for name, option in value.items() if name in ("query", "operator")}
    if value.get("type", "best_fields") not in ("best_fields", "most_fields", "phrase"):
        raise at.refuse(f"`multi_match` of type {value['type']} has no counterpart in KQL")
    phrase = value.get("type") == "phrase"
    names = [str(one).partition("^")[0] for one in value["fields"]]
    return kqltext.some([(_phrase if phrase else _match)({name: query}, at) for name in names])


def _all(_value: Any, _at: Where) -> str:
    return kqltext.EVERYTHING


def _pair(value: Any, at: Where, *inside: str) -> tuple[str, Any]:
    """The field of a clause, and what is asked of it; long forms name it under one of `inside`."""
    named = [name for name in value if name not in _IGNORED] if isinstance(value, Mapping) else []
    if len(named) != 1:
        raise at.refuse("a clause is about one field")
    wanted = value[named[0]]
    if isinstance(wanted, Mapping) and inside:
        wanted = next((wanted[key] for key in inside if key in wanted), None)
    if wanted is None:
        raise at.below(named[0]).refuse("nothing is asked of the field")
    return str(named[0]), wanted


_CLAUSES: Final[Mapping[str, Callable[[Any, Where], str]]] = {
    "term": _term,
    "terms": _terms,
    "match": _match,
    "match_phrase": _phrase,
    "prefix": _prefix,
    "wildcard": _wildcard,
    "range": _range,
    "exists": _exists,
    "bool": _bool,
    "query": _inner,
    "filter": _inner,
    "and": _inner,
    "or": _or,
    "not": _not,
    "query_string": _query_string,
    "multi_match": _multi_match,
    "match_all": _all,
}
_HINTS: Final[Mapping[str, str]] = {
    "type": "documents have no type any more: name the data by event.dataset",
    "eql": "a `log_rules` sequence may say it",
    "esql": "count with `log_metrics`, and write the rest in PromQL",
    "script": "compute the field where the line is written",
    "regexp": "use `*` in a value, or make a field of what the expression finds",
}
