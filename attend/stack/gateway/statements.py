"""The one statement of a request that reads or writes a relation.

Every statement gives one row: the total count (or null), the number of rows of the answer, the body as
JSON text built by Postgres (so that numbers and times have its formats), the `Location` as a JSON array of
`column=eq.value`, and how many rows an upsert inserted.
"""

from collections.abc import Sequence

from psycopg import sql

from attend.stack.gateway.catalog import Column, Relation
from attend.stack.gateway.errors import ApiError
from attend.stack.gateway.negotiate import OBJECT, Preferences
from attend.stack.gateway.query import Filter, Logic, Query
from attend.stack.gateway.sql import (
    EMPTY,
    Statement,
    Values,
    body_rows,
    column,
    finish,
    join,
    raw,
    read,
    returned_columns,
    where,
)

ROWS = "json_agg(_postgrest_t)"
_NO_LOCATION = "null::json"
_INSERTED = "nullif(current_setting('pgrst.inserted', true), '')::int"


def _body(media_type: str) -> str:
    return f"coalesce({ROWS} -> 0, 'null')" if media_type == OBJECT else f"coalesce({ROWS}, '[]')"


def result_row(
    ctes: sql.Composable,
    rows: sql.Composable,
    body: str,
    *,
    total: str = "null::bigint",
    count: str = "count(_postgrest_t)",
    location: sql.Composable | None = None,
    inserted: str = "null::int",
) -> sql.Composed:
    return sql.Composed(
        [
            sql.SQL("with "),
            ctes,
            raw(f" select {total}, {count}, {body}, "),
            location or raw(_NO_LOCATION),
            raw(f", {inserted} from ("),
            rows,
            sql.SQL(") _postgrest_t"),
        ]
    )


def capped(limit: int | None, max_rows: int | None) -> int | None:
    return min((value for value in (limit, max_rows) if value is not None), default=None)


def read_relation(
    relation: Relation, query: Query, preferences: Preferences, media_type: str, max_rows: int | None
) -> Statement:
    """Rows of a table or view, at most `max_rows`; with `count=exact` the total of all that match."""
    values = Values()
    table = sql.Identifier(relation.schema, relation.name)
    ctes = sql.SQL("pgrst_source as ({})").format(read(table, table, query, capped(query.limit, max_rows), values))
    if preferences.counts:
        matching = where(table, query.conditions, values)
        ctes += sql.SQL(", pgrst_count as (select 1 from {}{})").format(table, matching)
    rows = sql.SQL("select * from pgrst_source")
    return finish(result_row(ctes, rows, _body(media_type), total=total_count(preferences)), values)


def total_count(preferences: Preferences) -> str:
    return "(select count(*) from pgrst_count)" if preferences.counts else "null::bigint"


def insert(
    relation: Relation, query: Query, preferences: Preferences, media_type: str, keys: Sequence[str], body: str
) -> Statement:
    """Insert the body's objects; with `resolution` an upsert on the primary key or `on_conflict`."""
    values = Values()
    table = sql.Identifier(relation.schema, relation.name)
    columns = [relation.column(name) for name in sorted(keys)]
    conflict_keys = query.on_conflict if query.on_conflict is not None else relation.primary_key
    upsert = preferences.resolution is not None and bool(conflict_keys)
    merge = preferences.resolution == "merge-duplicates"
    names = join(sql.Identifier(item.name) for item in columns)
    mutation = sql.Composed(
        [
            sql.SQL("insert into {} ").format(table),
            sql.SQL("({}) ").format(names) if columns else EMPTY,
            sql.SQL("select "),
            join(column(sql.Identifier("pgrst_body"), item.name) for item in columns),
            sql.SQL(" from "),
            body_rows(body, columns, values, defaults=preferences.applies_defaults),
            _count_inserted("+", "0") if merge else EMPTY,
            _on_conflict(conflict_keys, columns, merge=merge) if upsert else EMPTY,
            _returning(relation, query, preferences),
        ]
    )
    location = _location(relation) if preferences.representation == "headers-only" else None
    inserted = _INSERTED if merge else "null::int"
    return _written(relation, query, preferences, media_type, mutation, values, location, inserted)


def _count_inserted(sign: str, never: str) -> sql.SQL:
    # A counter in a setting, because `returning (xmax = 0)` would need select rights on the table.
    counter = f"coalesce({_INSERTED}, 0) {sign} 1"
    return raw(f" where set_config('pgrst.inserted', ({counter})::text, true) <> '{never}'")


def _on_conflict(keys: Sequence[str], columns: Sequence[Column], *, merge: bool) -> sql.Composed:
    target = sql.SQL(" on conflict ({}) do ").format(join(sql.Identifier(name) for name in keys))
    if not merge or not columns:
        return target + sql.SQL("nothing")
    assignments = join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(item.name)) for item in columns)
    return sql.Composed([target, sql.SQL("update set "), assignments, _count_inserted("-", "-1")])


def update(
    relation: Relation, query: Query, preferences: Preferences, media_type: str, keys: Sequence[str], body: str
) -> Statement:
    """Set the body's keys on every row the filters match; `limit` does not count. No keys: no row."""
    values = Values()
    table = sql.Identifier(relation.schema, relation.name)
    columns = [relation.column(name) for name in sorted(keys)]
    if not columns:
        bare = sql.Identifier(relation.name)
        shown = returned_columns(bare, query, relation.primary_key) if _represents(preferences) else sql.SQL("null")
        nothing = sql.SQL("select {} from {} where false").format(shown, table)
        return _written(relation, query, preferences, media_type, nothing, values)
    _require_filter("UPDATE", query.conditions)
    assignments = join(sql.SQL("{0} = pgrst_body.{0}").format(sql.Identifier(item.name)) for item in columns)
    mutation = sql.Composed(
        [
            sql.SQL("update {} set ").format(table),
            assignments,
            sql.SQL(" from "),
            body_rows(body, columns, values, defaults=preferences.applies_defaults),
            where(table, query.conditions, values),
            _returning(relation, query, preferences),
        ]
    )
    return _written(relation, query, preferences, media_type, mutation, values)


def delete(relation: Relation, query: Query, preferences: Preferences, media_type: str) -> Statement:
    """Delete every row the filters match."""
    _require_filter("DELETE", query.conditions)
    values = Values()
    table = sql.Identifier(relation.schema, relation.name)
    mutation = sql.Composed(
        [
            sql.SQL("delete from {}").format(table),
            where(table, query.conditions, values),
            _returning(relation, query, preferences),
        ]
    )
    return _written(relation, query, preferences, media_type, mutation, values)


def _require_filter(verb: str, conditions: Sequence[Filter | Logic]) -> None:
    # The platform loads pg-safeupdate for authenticator; this is its answer.
    if not conditions:
        raise ApiError(400, "21000", f"{verb} requires a WHERE clause")


def _represents(preferences: Preferences) -> bool:
    return preferences.representation in {"representation", "headers-only"}


def _returning(relation: Relation, query: Query, preferences: Preferences) -> sql.Composed:
    if not _represents(preferences):
        return sql.Composed([sql.SQL(" returning 1")])  # needs no select rights, and still counts
    table = sql.Identifier(relation.schema, relation.name)
    return sql.SQL(" returning ") + returned_columns(table, query, relation.primary_key)


def _written(
    relation: Relation, query: Query, preferences: Preferences, media_type: str, mutation: sql.Composable,
    values: Values, location: sql.Composable | None = None, inserted: str = "null::int",
) -> Statement:  # fmt: skip
    if preferences.representation == "representation":
        alias = sql.Identifier(relation.name)
        # The filters chose the rows to change; they say nothing about the rows returned.
        shown = Query(select=query.select, order=query.order)
        rows = read(sql.SQL("pgrst_source as {}").format(alias), alias, shown, None, values)
        body = _body(media_type)
    else:
        rows, body = sql.SQL("select * from pgrst_source"), "''"
    ctes = sql.SQL("pgrst_source as ({})").format(mutation)
    return finish(result_row(ctes, rows, body, location=location, inserted=inserted), values)


def _location(relation: Relation) -> sql.Composable:
    keys = join(sql.Literal(name) for name in relation.primary_key)
    if not relation.primary_key:
        return raw(_NO_LOCATION)
    return sql.SQL(
        "case when count(_postgrest_t) = 1 then (select json_agg(k.key || '=' || coalesce('eq.' || k.value, 'is.null'))"
        " from (select row_to_json(s) as row from pgrst_source s limit 1) r cross join json_each_text(r.row) k"
        " where k.key in ({})) end"
    ).format(keys)
