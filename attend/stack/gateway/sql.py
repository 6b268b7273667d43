"""Fragments of SQL: identifiers quoted, every value of a client a numbered parameter.

Names of types and default expressions come from the catalogue, never from a request.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import LiteralString, cast

from psycopg import sql

from attend.stack.gateway.catalog import Column
from attend.stack.gateway.query import COMPARISONS, Filter, Logic, OrderTerm, Query, SelectItem

EMPTY = sql.SQL("")


def raw(text: str) -> sql.SQL:
    """SQL text that does not come from a request: keywords, type names, defaults of columns."""
    return sql.SQL(cast(LiteralString, text))


def join(parts: Iterable[sql.Composable], separator: LiteralString = ", ") -> sql.Composed:
    return sql.SQL(separator).join(parts)


@dataclass(frozen=True)
class Statement:
    """SQL with `$1`… and its values, ready for a raw cursor."""

    text: bytes
    values: tuple[object, ...]


@dataclass
class Values:
    """Collects parameter values; `add` gives the placeholder."""

    items: list[object] = field(default_factory=list[object])

    def add(self, value: object) -> sql.SQL:
        # Text of Postgres cannot hold NUL; PostgREST cuts it away too.
        self.items.append(value.replace("\0", "") if isinstance(value, str) else value)
        return raw(f"${len(self.items)}")


def finish(query: sql.Composable, values: Values) -> Statement:
    return Statement(query.as_bytes(None), tuple(values.items))


def column(table: sql.Composable, name: str) -> sql.Composed:
    return sql.Composed([table, sql.SQL("."), sql.SQL("*") if name == "*" else sql.Identifier(name)])


def select_list(table: sql.Composable, items: Sequence[SelectItem]) -> sql.Composed:
    if not items:
        return column(table, "*")
    return join(
        column(table, item.column) + sql.SQL(" as ") + sql.Identifier(item.alias)
        if item.alias
        else column(table, item.column)
        for item in items
    )


def array_literal(values: Iterable[str]) -> str:
    """A Postgres array as text, so that the server reads its elements in the column's own type."""
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"


def condition(table: sql.Composable, term: Filter | Logic, values: Values) -> sql.Composed:
    negation = sql.SQL("not ") if term.negated else EMPTY
    if isinstance(term, Logic):
        separator: LiteralString = " and " if term.operator == "and" else " or "
        inner = join((condition(table, child, values) for child in term.terms), separator)
        return sql.Composed([negation, sql.SQL("("), inner, sql.SQL(")")])
    return sql.Composed([negation, column(table, term.column), sql.SQL(" "), _comparison(term, values)])


def _comparison(term: Filter, values: Values) -> sql.Composed:
    value = term.value
    if not isinstance(value, str):
        # "= any" keeps one statement for every number of elements, so that it stays prepared.
        return sql.Composed([sql.SQL("= any ("), values.add(array_literal(value)), sql.SQL(")")])
    if term.operator == "is":
        return sql.Composed([sql.SQL("is "), raw(value)])
    if term.operator in {"like", "ilike"}:
        value = value.replace("*", "%")
    return sql.Composed([raw(COMPARISONS[term.operator]), sql.SQL(" "), values.add(value)])


def where(table: sql.Composable, terms: Sequence[Filter | Logic], values: Values) -> sql.Composable:
    if not terms:
        return EMPTY
    return sql.SQL(" where ") + join((condition(table, term, values) for term in terms), " and ")


def order_by(table: sql.Composable, terms: Sequence[OrderTerm]) -> sql.Composable:
    if not terms:
        return EMPTY
    parts: list[sql.Composable] = []
    for term in terms:
        direction = f" {term.direction}" if term.direction else ""
        nulls = f" nulls {term.nulls}" if term.nulls else ""
        parts.append(column(table, term.column) + raw(direction + nulls))
    return sql.SQL(" order by ") + join(parts)


def page(limit: int | None, offset: int, values: Values) -> sql.Composable:
    if limit is None and not offset:
        return EMPTY
    size = sql.SQL("all") if limit is None else values.add(str(limit))
    return sql.Composed([sql.SQL(" limit "), size, sql.SQL(" offset "), values.add(str(offset))])


def read(
    source: sql.Composable, table: sql.Composable, query: Query, limit: int | None, values: Values
) -> sql.Composed:
    """Select from `source`, whose columns are written `table.column`."""
    return sql.Composed(
        [
            sql.SQL("select "),
            select_list(table, query.select),
            sql.SQL(" from "),
            source,
            where(table, query.conditions, values),
            order_by(table, query.order),
            page(limit, query.offset, values),
        ]
    )


def returned_columns(table: sql.Composable, query: Query, also: Iterable[str] = ()) -> sql.Composed:
    """What a statement must hand on for `query.select` to be read from it."""
    if query.selects_all:
        return column(table, "*")
    names = {item.column for item in query.select} | set(also)
    return join(column(table, name) for name in sorted(names))


def body_rows(
    body: str, columns: Sequence[Column], values: Values, *, defaults: bool, one: bool = False
) -> sql.Composed:
    """A from list that ends in `pgrst_body`: the JSON body as rows with the columns' types.

    An object is one row; an array a row per element (`one`: only the first). With `defaults`, keys that an
    object lacks take the column's default instead of null.
    """
    is_object = body.lstrip(" \t\n\r").startswith("{")
    kind = "jsonb" if defaults else "json"
    payload = sql.Composed([sql.SQL("(select "), values.add(body), raw(f"::{kind} as json_data) pgrst_payload, ")])
    document = "pgrst_payload.json_data"
    if defaults:
        payload += _with_defaults(columns, is_object=is_object)
        document = "pgrst_defaults.json_data"
    if columns:
        names = join(sql.Identifier(item.name) for item in columns)
        types = join(sql.Identifier(item.name) + raw(" " + item.type) for item in columns)
        function = f"{kind}_to_record" if is_object else f"{kind}_to_recordset"
        rows = sql.SQL("select {} from {} as _({}){}").format(
            names, raw(f"{function}({document})"), types, sql.SQL(" limit 1") if one else EMPTY
        )
    else:
        rows = raw("select 1" if is_object else f"select 1 from {kind}_array_elements({document}) _")
    return sql.Composed([payload, sql.SQL("lateral ("), rows, sql.SQL(") pgrst_body")])


def _with_defaults(columns: Sequence[Column], *, is_object: bool) -> sql.Composed:
    pairs = join(sql.Literal(item.name) + raw(f", {item.default}") for item in columns if item.default is not None)
    built = sql.SQL("jsonb_build_object({})").format(pairs)
    if is_object:
        inner = built + sql.SQL(" || pgrst_payload.json_data as json_data")
    else:
        inner = sql.SQL(
            "coalesce(jsonb_agg({} || elem), '[]') as json_data from jsonb_array_elements(pgrst_payload.json_data) elem"
        ).format(built)
    return sql.Composed([sql.SQL("lateral (select "), inner, sql.SQL(") pgrst_defaults, ")])
