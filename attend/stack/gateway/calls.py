"""The one statement of a request that calls a function; its row is that of `statements`."""

from collections.abc import Iterable

from psycopg import sql

from attend.stack.gateway.catalog import Column, Parameter, Routine
from attend.stack.gateway.negotiate import OBJECT, Preferences
from attend.stack.gateway.query import Filter, Logic, Query
from attend.stack.gateway.sql import (
    EMPTY,
    Statement,
    Values,
    body_rows,
    finish,
    join,
    raw,
    read,
    returned_columns,
    where,
)
from attend.stack.gateway.statements import ROWS, capped, result_row, total_count


def call_by_body(
    routine: Routine, query: Query, preferences: Preferences, media_type: str, keys: frozenset[str], body: str,
    max_rows: int | None,
) -> Statement:  # fmt: skip
    """A POST call: named arguments out of the JSON body, or the whole body as one unnamed json."""
    values = Values()
    given = [parameter for parameter in routine.parameters if parameter.name in keys]
    source: sql.Composable = EMPTY
    if routine.takes_unnamed_json:
        arguments = sql.Composed([values.add(body), raw("::" + routine.parameters[0].type)])
    else:
        arguments = _named((parameter, sql.Identifier("pgrst_body", parameter.name)) for parameter in given)
    if given:
        columns = [Column(parameter.name, parameter.type, None) for parameter in given]
        source = body_rows(body, columns, values, defaults=False, one=True) + sql.SQL(", lateral ")
    return _call(routine, query, preferences, media_type, arguments, source, values, max_rows)


def call_by_query(
    routine: Routine, query: Query, preferences: Preferences, media_type: str, max_rows: int | None
) -> Statement:
    """A GET call: arguments as text, read by Postgres in the parameters' types."""
    values = Values()
    given = dict(query.arguments)
    arguments = _named(
        (parameter, values.add(_argument(parameter, query, given)) + raw("::" + parameter.type))
        for parameter in routine.parameters
        if parameter.name in given
    )
    return _call(routine, query, preferences, media_type, arguments, EMPTY, values, max_rows)


def _argument(parameter: Parameter, query: Query, given: dict[str, str]) -> str | list[str]:
    if not parameter.variadic:
        return given[parameter.name]
    return [value for name, value in query.arguments if name == parameter.name]


def _named(arguments: Iterable[tuple[Parameter, sql.Composable]]) -> sql.Composed:
    return join(
        raw("variadic " if parameter.variadic else "")
        + sql.SQL("{} := {}").format(sql.Identifier(parameter.name), value)
        for parameter, value in arguments
    )


def _call(
    routine: Routine, query: Query, preferences: Preferences, media_type: str, arguments: sql.Composable,
    source: sql.Composable, values: Values, max_rows: int | None,
) -> Statement:  # fmt: skip
    """Call a function and read from its result as from a relation."""
    function = sql.Identifier(routine.schema, routine.name)
    alias = sql.Identifier(routine.result_name)
    if routine.returns_composite:
        used = {name for term in query.conditions for name in columns_of(term)}
        shown = returned_columns(sql.Identifier("pgrst_call"), query, used)
        ctes = sql.SQL("pgrst_source as (select {} from {}{}({}) pgrst_call)").format(
            shown, source, function, arguments
        )
        body = ROWS
    else:
        ctes = sql.SQL(
            "pgrst_source as (select pgrst_call.pgrst_scalar from {}(select {}({}) pgrst_scalar) pgrst_call)"
        )
        ctes = ctes.format(source, function, arguments)
        body = "json_agg(_postgrest_t.pgrst_scalar)"
    rows = read(sql.SQL("pgrst_source as {}").format(alias), alias, query, capped(query.limit, max_rows), values)
    if preferences.counts:
        matching = where(alias, query.conditions, values)
        ctes += sql.SQL(", pgrst_count as (select 1 from pgrst_source as {}{})").format(alias, matching)
    single = not routine.returns_set or media_type == OBJECT
    whole = f"coalesce({body} -> 0, 'null')" if single else f"coalesce({body}, '[]')"
    count = "count(_postgrest_t)" if routine.returns_set else "1"
    return finish(result_row(ctes, rows, whole, total=total_count(preferences), count=count), values)


def columns_of(term: Filter | Logic) -> set[str]:
    if isinstance(term, Filter):
        return {term.column}
    return {name for child in term.terms for name in columns_of(child)}
