"""Reads the schema cache from the system catalogues, in one round trip."""

from typing import Any

from psycopg import AsyncConnection

from attend.stack.gateway.catalog import Catalog, Column, Parameter, Relation, Routine

# Settings of a function that only work when they are set before the statement that calls it.
_HOISTED = ("statement_timeout", "plan_filter.statement_cost_limit")

_RELATIONS = """
select n.nspname, c.relname,
  coalesce((
    select array_agg(array[
        a.attname::text,
        case when t.typtype = 'd' or t.typnamespace = 'pg_catalog'::regnamespace
          then format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), -1)
          else format_type(a.atttypid, a.atttypmod) end,
        case when a.attidentity = 'd'
            then format('nextval(%L)', (
              select q.objid::regclass from pg_depend q
              where q.classid = 'pg_class'::regclass and q.deptype = 'i'
                and q.refobjid = c.oid and q.refobjsubid = a.attnum
              limit 1
            ))
          when a.attgenerated <> '' then null
          when d.adbin is null then pg_get_expr(t.typdefaultbin, 0)
          else pg_get_expr(d.adbin, d.adrelid) end
      ] order by a.attnum)
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  ), '{}') as columns,
  coalesce((
    select array_agg(a.attname::text order by a.attname)
    from pg_constraint k
    join pg_attribute a on a.attrelid = k.conrelid and a.attnum = any (k.conkey)
    where k.conrelid = c.oid and k.contype = 'p'
  ), '{}') as primary_key
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any ($1) and c.relkind in ('r', 'v', 'm', 'f', 'p') and not c.relispartition
"""

_ROUTINES = """
select p.oid, n.nspname, p.proname, p.proretset, p.provolatile = 'v',
  t.typtype = 'c' or p.prorettype = 'record'::regtype or coalesce(p.proargmodes::text[] && '{t,b,o}', false),
  p.prorettype = 'void'::regtype,
  coalesce(r.relname, p.proname),
  coalesce((
    select array_agg(array[
        coalesce(i.name, ''),
        format_type(i.type, -1),
        (i.position <= p.pronargs - p.pronargdefaults)::text,
        coalesce(i.mode = 'v', false)::text
      ] order by i.position)
    from (
      select a.name, a.type, a.mode, row_number() over (order by a.position) as position
      from unnest(p.proargnames, coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargmodes)
        with ordinality a (name, type, mode, position)
      where coalesce(a.mode, 'i') in ('i', 'b', 'v')
    ) i
  ), '{}'),
  coalesce(p.proconfig, '{}')
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_type t on t.oid = p.prorettype
left join pg_class r on r.oid = t.typrelid and r.relkind <> 'c'
where n.nspname = any ($1) and p.prokind = 'f' and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
order by p.oid
"""

_ROLE_SETTINGS = """
select r.rolname, split_part(s.setting, '=', 1), substr(s.setting, strpos(s.setting, '=') + 1)
from pg_auth_members m
join pg_roles r on r.oid = m.roleid
cross join unnest(r.rolconfig) s (setting)
join pg_settings g on g.name = split_part(s.setting, '=', 1)
where m.member = current_user::regrole
  and (g.context = 'user' or has_parameter_privilege(current_user, g.name, 'set'))
"""


async def load_catalog(connection: AsyncConnection[Any], schemas: tuple[str, ...]) -> Catalog:
    """Read what the schemas contain; schemas that do not exist (yet) contain nothing.

    PostgREST fails on a missing schema; here the gateway starts before the migrations that create them.
    """
    async with connection.pipeline():
        await connection.execute("begin read only")
        # With an empty path the catalogue functions qualify every name outside pg_catalog.
        await connection.execute("set local search_path = ''")
        relations = await connection.execute(_RELATIONS, [list(schemas)])
        routines = await connection.execute(_ROUTINES, [list(schemas)])
        settings = await connection.execute(_ROLE_SETTINGS)
        await connection.execute("commit")
    found: dict[tuple[str, str], list[Routine]] = {}
    for row in await routines.fetchall():
        routine = _routine(row)
        if routine.takes_unnamed_json or all(parameter.name for parameter in routine.parameters):
            found.setdefault((routine.schema, routine.name), []).append(routine)
    by_role: dict[str, tuple[tuple[str, str], ...]] = {}
    for role, name, value in await settings.fetchall():
        by_role[role] = (*by_role.get(role, ()), (name, value))
    return Catalog({(row[0], row[1]): _relation(row) for row in await relations.fetchall()}, found, by_role)


def _relation(row: tuple[Any, ...]) -> Relation:
    schema, name, columns, primary_key = row
    return Relation(schema, name, {column[0]: Column(*column) for column in columns}, tuple(primary_key))


def _routine(row: tuple[Any, ...]) -> Routine:
    oid, schema, name, returns_set, volatile, composite, void, result_name, parameters, configuration = row
    settings = (entry.partition("=") for entry in configuration)
    return Routine(
        oid=oid,
        schema=schema,
        name=name,
        parameters=tuple(
            Parameter(label, type_, required == "true", variadic == "true")
            for label, type_, required, variadic in parameters
        ),
        returns_set=returns_set,
        returns_composite=composite,
        returns_void=void and not returns_set,
        result_name=result_name,
        volatile=volatile,
        settings=tuple((key, value) for key, _, value in settings if key in _HOISTED),
    )
