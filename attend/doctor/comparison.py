"""Whether the definitions there are those of the migrations here: the migrations are applied to a throw-away server on
this machine, and both catalogues are read in the same words.

Lost: a list of expected definitions in the repository, which every migration would have to write anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from attend.doctor.findings import Finding, found
from attend.stack import installation, migrations
from attend.stack.cluster import Cluster
from attend.stack.errors import StackError
from attend.stack.processes import postgres_account

type Definitions = dict[tuple[str, str], str]

_OURS = (
    "n.nspname in ('public', 'private', 'mgmt')"
    " and not exists (select from pg_depend d where d.objid = {}.oid and d.deptype = 'e')"
)
_DEFINITIONS = """
  select 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid) || pg_get_userbyid(p.proowner)
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace where {ours_p} and p.prokind in ('f', 'p')
  union all
  select 'view', c.oid::regclass::text, pg_get_viewdef(c.oid) || coalesce(c.reloptions::text, '')
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where {ours_c} and c.relkind in ('v', 'm')
  union all
  select 'column', c.oid::regclass || '.' || a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
    a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(e.adbin, e.adrelid))
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef e on e.adrelid = c.oid and e.adnum = a.attnum
  where {ours_c} and c.relkind in ('r', 'p')
  union all
  select 'constraint', k.conrelid::regclass || ': ' || k.conname, pg_get_constraintdef(k.oid) || k.convalidated
  from pg_constraint k join pg_namespace n on n.oid = k.connamespace
  where n.nspname in ('public', 'private', 'mgmt') and k.conrelid <> 0
  union all
  select 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) || i.indisvalid
  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('public', 'private', 'mgmt')
  union all
  select 'trigger', t.tgrelid::regclass || ': ' || t.tgname, pg_get_triggerdef(t.oid) || t.tgenabled::text
  from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
  where not t.tgisinternal and (n.nspname in ('public', 'private', 'mgmt') or t.tgname like 'attend\\_%')
  union all
  select 'policy', format('%I.%I: %s', p.schemaname, p.tablename, p.policyname),
    concat_ws(' ', p.permissive, p.roles, p.cmd, p.qual, '|', p.with_check)
  from pg_policies p where p.schemaname in ('public', 'private', 'mgmt')
"""
_QUERY = _DEFINITIONS.replace("{ours_p}", _OURS.format("p")).replace("{ours_c}", _OURS.format("c")).encode()
_JOBS = """
  select 'job', j.jobname, concat_ws(' ', j.schedule, j.command, j.username) from cron.job j
  where j.jobname like 'attend-%'
"""


def definitions(connection: psycopg.Connection[Any], folder: Path) -> Iterator[Finding]:
    """What differs from the migrations in `folder`. What is not ours is not looked at, but for what changes ours."""
    try:
        expected = _of_migrations(folder, connection.info.server_version // 10_000)
    except StackError as error:
        yield found("not_compared", f"Definitions were not compared: {error.message}")
        return
    there = _read(connection)
    for key in sorted(expected.keys() - there.keys()):
        yield _differs(key, "missing", "is not there")
    for key in sorted(key for key, text in expected.items() if there.get(key, text) != text):
        yield _differs(key, "changed", "is another than in the migrations")
    tables = {name.rpartition(".")[0] for kind, name in expected if kind == "column"}
    for kind, name in sorted(there.keys() - expected.keys()):
        if kind in {"policy", "trigger"} and name.partition(": ")[0] in tables:
            yield found(f"{kind}_extra", f"The {kind} {name} is none of the migrations'.")


def _differs(key: tuple[str, str], how: str, says: str) -> Finding:
    kind, name = key
    return found(f"{'policy' if kind == 'policy' else 'definition'}_{how}", f"The {kind} {name} {says}.")


def _of_migrations(folder: Path, version: int) -> Definitions:
    cluster = Cluster(installation.clusters_directory(postgres_account()) / f"temporary-{os.getpid()}-doctor")
    try:
        cluster.start()
        migrations.apply(cluster.dsn(), folder)
        with psycopg.connect(cluster.dsn()) as connection:
            ours = connection.info.server_version // 10_000
            if ours != version:
                raise StackError(f"Postgres {version} words them in another way than {ours}, which is here.")
            return _read(connection)
    finally:
        cluster.remove()


def _read(connection: psycopg.Connection[Any]) -> Definitions:
    with connection.transaction():
        # Names in definitions are written as short as the search path allows.
        connection.execute("set local search_path = ''")
        rows = connection.execute(_QUERY).fetchall()
        if connection.execute("select to_regclass('cron.job') is not null").fetchone() == (True,):
            rows += connection.execute(_JOBS.encode()).fetchall()
    return {(kind, name): text for kind, name, text in rows}
