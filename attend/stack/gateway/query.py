"""The query string: columns, filters, order and ranges, as data.

Grammar and refusals follow PostgREST 16; what the gateway leaves out (json paths, casts, embedding,
aggregates, full-text and range operators) is answered 501 here, before anything reaches the database.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from attend.stack.gateway.errors import ApiError, left_out, parse_error
from attend.stack.gateway.reader import Reader

COMPARISONS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "like": "like", "ilike": "ilike"}
IS_VALUES = {"null": "NULL", "not_null": "NOT NULL", "true": "TRUE", "false": "FALSE", "unknown": "UNKNOWN"}
_LEFT_OUT_OPERATORS = frozenset(
    {"match", "imatch", "fts", "plfts", "phfts", "wfts", "isdistinct"}
    | {"cs", "cd", "ov", "sl", "sr", "nxr", "nxl", "adj"}
)
_OPERATOR = re.compile(r"(?P<not>not\.)?(?P<name>[a-z]+)(?P<quantifier>\([^)]*\))?\.")
_RESERVED = frozenset({"select", "columns", "on_conflict", "order", "limit", "offset", "and", "or"})


@dataclass(frozen=True)
class Filter:
    """`column operator value`; `value` is a tuple for `in`, one of IS_VALUES for `is`, else text."""

    column: str
    operator: str
    value: str | tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True)
class Logic:
    """`and` / `or` over filters and further logic."""

    operator: Literal["and", "or"]
    terms: "tuple[Filter | Logic, ...]"
    negated: bool = False


@dataclass(frozen=True)
class SelectItem:
    """A column (or `*`) and the key it gets in the answer."""

    column: str
    alias: str | None = None


@dataclass(frozen=True)
class OrderTerm:
    """A column to sort by; None leaves the choice to Postgres."""

    column: str
    direction: Literal["asc", "desc"] | None = None
    nulls: Literal["first", "last"] | None = None


@dataclass(frozen=True)
class Query:
    """A parsed query string. `arguments` are the parameters of a GET call of a function, in order."""

    select: tuple[SelectItem, ...] = ()
    conditions: tuple[Filter | Logic, ...] = ()
    order: tuple[OrderTerm, ...] = ()
    limit: int | None = None
    offset: int = 0
    columns: tuple[str, ...] | None = None
    on_conflict: tuple[str, ...] | None = None
    arguments: tuple[tuple[str, str], ...] = ()

    @property
    def selects_all(self) -> bool:
        return not self.select or any(item.column == "*" for item in self.select)


EMPTY = Query()


def parse_query(raw: bytes, *, call_by_get: bool = False) -> Query:
    """Parse a raw query string; with `call_by_get`, parameters without an operator are arguments.

    Raises ApiError: 400 PGRST100 for what is no filter, select or order; 416 for a negative limit; 501.
    """
    if not raw:
        return EMPTY
    pairs = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, errors="replace")
    named = dict(reversed(pairs))  # of a repeated option the first counts
    conditions, arguments = _conditions(pairs, call_by_get=call_by_get)
    return Query(
        select=_parse_select(named.get("select", "")),
        conditions=conditions,
        order=_parse_order(named.get("order", "")),
        limit=_limit(named.get("limit")),
        offset=_integer(named.get("offset")) or 0,
        columns=_parse_columns(named.get("columns")),
        on_conflict=_parse_columns(named.get("on_conflict")),
        arguments=arguments,
    )


def _conditions(
    pairs: Sequence[tuple[str, str]], *, call_by_get: bool
) -> tuple[tuple[Filter | Logic, ...], tuple[tuple[str, str], ...]]:
    filters: list[Filter | Logic] = []
    logic: list[Filter | Logic] = []
    arguments: list[tuple[str, str]] = []
    for key, value in pairs:
        if key in {"and", "or", "not.and", "not.or"}:
            reader = Reader(key + value, f"failed to parse logic tree ({value})")
            if not value.lstrip().startswith("("):
                raise reader.error('"("', at=len(key))
            logic.append(_logic_term(reader))
        elif key in _RESERVED:
            continue
        elif key.rpartition(".")[2] in _RESERVED - {"select", "columns", "on_conflict"}:
            raise left_out("embedding")
        elif call_by_get and not _is_operation(value):
            arguments.append((key, value))
        else:
            filters.append(_parse_filter(key, value))
    return tuple(filters + logic), tuple(arguments)


def _is_operation(value: str) -> bool:
    found = _OPERATOR.match(value)
    return bool(found) and (found["name"] in COMPARISONS or found["name"] in _LEFT_OUT_OPERATORS | {"in", "is"})


def _parse_filter(key: str, value: str) -> Filter:
    name = Reader(key, f"failed to parse tree path ({key})")
    column = _field(name)
    if not name.at_end:
        raise left_out("embedding") if name.peek(".") else name.error("end of input")
    reader = Reader(value, f"failed to parse filter ({value})")
    negated, operator = _operation(reader)
    return Filter(column, operator, _value(reader, operator, nested=False), negated)


def _operation(reader: Reader) -> tuple[bool, str]:
    found = reader.match(_OPERATOR)
    if not found:
        raise reader.error('"not" or operator (eq, gt, ...)')
    name = found["name"]
    if name in _LEFT_OUT_OPERATORS:
        raise left_out(f"operator {name}")
    if name not in COMPARISONS and name not in {"in", "is"}:
        raise reader.error('"not" or operator (eq, gt, ...)', at=found.start())
    if found["quantifier"]:
        raise left_out("operators with any and all")
    return bool(found["not"]), name


def _value(reader: Reader, operator: str, *, nested: bool) -> str | tuple[str, ...]:
    if operator == "in":
        return reader.list_values()
    text = reader.logic_value() if nested else reader.rest()
    if operator == "is":
        keyword = IS_VALUES.get(text.lower())
        if keyword is None:
            raise reader.error("isVal: (null, not_null, true, false, unknown)")
        return keyword
    return text


_LOGIC = re.compile(r"\s*(?P<not>not\.)?(?P<operator>and|or)\s*\(")


def _logic_term(reader: Reader) -> Filter | Logic:
    found = reader.match(_LOGIC)
    if not found:
        column = _field(reader)
        reader.expect(".")
        negated, operator = _operation(reader)
        return Filter(column, operator, _value(reader, operator, nested=True), negated)
    terms = [_logic_term(reader)]
    while reader.take(","):
        terms.append(_logic_term(reader))
    reader.expect(")")
    return Logic("and" if found["operator"] == "and" else "or", tuple(terms), bool(found["not"]))


def _field(reader: Reader) -> str:
    name = reader.name()
    if reader.peek("->"):
        raise left_out("json paths")
    return name


def _parse_select(text: str) -> tuple[SelectItem, ...]:
    if text in {"", "*"}:
        return ()
    reader = Reader(text, f"failed to parse select parameter ({text})")
    items = [_select_item(reader)]
    while reader.take(","):
        items.append(_select_item(reader))
    if not reader.at_end:
        raise reader.error("end of input")
    return tuple(items)


def _select_item(reader: Reader) -> SelectItem:
    if reader.take("*"):
        return SelectItem("*")
    if reader.peek("..."):
        raise left_out("embedding")
    name, alias = _field(reader), None
    if reader.peek(":") and not reader.peek("::"):
        reader.take(":")
        name, alias = _field(reader), name
    _refuse_left_out_select(reader)
    return SelectItem(name, alias)


def _refuse_left_out_select(reader: Reader) -> None:
    if reader.peek("::"):
        raise left_out("casts")
    if reader.peek("()") or reader.peek("."):
        raise left_out("aggregates")
    if reader.peek("(") or reader.peek("!"):
        raise left_out("embedding")


_DIRECTION = re.compile(r"\.(asc|desc)")
_NULLS = re.compile(r"\.nulls(first|last)")


def _parse_order(text: str) -> tuple[OrderTerm, ...]:
    if not text:
        return ()
    reader = Reader(text, f"failed to parse order ({text})")
    terms = [_order_term(reader)]
    while reader.take(","):
        terms.append(_order_term(reader))
    if not reader.at_end:
        raise reader.error('delimiter (.), "," or end of input')
    return tuple(terms)


def _order_term(reader: Reader) -> OrderTerm:
    column = _field(reader)
    if reader.peek("("):
        raise left_out("embedding")
    direction, nulls = reader.match(_DIRECTION), reader.match(_NULLS)
    return OrderTerm(
        column,
        None if not direction else "asc" if direction[1] == "asc" else "desc",
        None if not nulls else "first" if nulls[1] == "first" else "last",
    )


def _parse_columns(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    reader = Reader(text, f"failed to parse columns parameter ({text})")
    names = [reader.name()]
    while reader.take(","):
        names.append(reader.name())
    if not reader.at_end:
        raise parse_error(f'"{reader.label}" (line 1, column {reader.position + 1})', "unexpected text after a column")
    return tuple(dict.fromkeys(names))


def _integer(text: str | None) -> int | None:
    # Nonsense is ignored, not refused: recorded ("read limit nonsense").
    return int(text) if text and re.fullmatch(r"\s*-?\d{1,18}\s*", text, re.ASCII) else None


def _limit(text: str | None) -> int | None:
    limit = _integer(text)
    if limit is not None and limit < 0:
        message = "Limit should be greater than or equal to zero."
        raise ApiError(416, "PGRST103", "Requested range not satisfiable", message)
    return limit
