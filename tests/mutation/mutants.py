"""Every guard that can be taken away, read off a database's own catalogue, so that a new one is a new mutant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.database import Database

SCHEMAS = Path(__file__).parents[2] / "supabase" / "schemas"
_CREATED = re.compile(
    r"^create (?:function|table|(?:materialized )?view|(?:constraint )?trigger) ((?:\w+\.)?\w+)", re.MULTILINE
)


@dataclass(frozen=True)
class Mutant:
    """One guard less. `name` is stable from run to run; `feature` is the folder of supabase/schemas that has it."""

    kind: str
    name: str
    feature: str
    sql: str


def enumerate_mutants(database: Database) -> list[Mutant]:
    """All mutants of what the migrations made, in the order of kind and name."""
    homes = _homes()
    found = [
        Mutant(kind, name, homes[home], statement)
        for query in (_POLICIES, _ROW_SECURITY, _TRIGGERS, _CONSTRAINTS, _INDEXES, _GRANTS, _EXECUTES)
        for kind, name, home, statement in (tuple(row.values()) for row in database.rows(query))
    ]
    for row in database.rows(_FUNCTIONS):
        found += _of_function(row["name"], homes[row["name"]], row["definition"])
    return sorted(found, key=lambda mutant: (mutant.kind, mutant.feature, mutant.name))


def _homes() -> dict[str, str]:
    """relation, function or trigger → the folder it is written in."""
    return {
        name: file.relative_to(SCHEMAS).parts[0]
        for file in sorted(SCHEMAS.rglob("*.sql"))
        for name in _CREATED.findall(file.read_text())
    }


# Our relations; `name` is as in the schemas' files.
_OURS = """
ours as (
  select c.oid, format('%s.%s', c.relnamespace::regnamespace, c.relname) as name, c.relkind, c.relacl
  from pg_class c
  where c.relnamespace = any (array(select oid from pg_namespace where nspname in ('public', 'private', 'mgmt')))
    and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
)
"""
_POLICIES = f"""
with {_OURS}
select 'policy opened' as kind, format('%s: %s', o.name, p.polname) as name, o.name as home,
  format('alter policy %I on %s%s%s', p.polname, o.name,
    case when p.polqual is not null then ' using (true)' end,
    case when p.polwithcheck is not null then ' with check (true)' end) as statement
from ours o join pg_policy p on p.polrelid = o.oid
union all
select 'policy dropped', format('%s: %s', o.name, p.polname), o.name, format('drop policy %I on %s', p.polname, o.name)
from ours o join pg_policy p on p.polrelid = o.oid
"""
_ROW_SECURITY = f"""
with {_OURS}
select 'row security off' as kind, o.name, o.name as home,
  format('alter table %s disable row level security', o.name) as statement
from ours o join pg_class c on c.oid = o.oid and c.relrowsecurity
"""
# A feature may watch another's table: what notices is where the trigger is from.
_TRIGGERS = f"""
with {_OURS}
select 'trigger dropped' as kind, format('%s: %s', o.name, t.tgname) as name, t.tgname as home,
  format('drop trigger %I on %s', t.tgname, o.name) as statement
from ours o join pg_trigger t on t.tgrelid = o.oid and not t.tgisinternal
"""
# A primary key is left where it is: what refers to it would go with it.
_CONSTRAINTS = f"""
with {_OURS}
select case k.contype when 'c' then 'check dropped' when 'f' then 'reference dropped' else 'key dropped' end as kind,
  format('%s: %s', o.name, k.conname) as name, o.name as home,
  format('alter table %s drop constraint %I cascade', o.name, k.conname) as statement
from ours o join pg_constraint k on k.conrelid = o.oid and k.contype in ('c', 'f', 'u', 'x')
"""
_INDEXES = f"""
with {_OURS}
select 'key dropped' as kind, format('%s: %s', o.name, x.relname) as name, o.name as home,
  format('drop index %s.%I', x.relnamespace::regnamespace, x.relname) as statement
from ours o join pg_index i on i.indrelid = o.oid and i.indisunique join pg_class x on x.oid = i.indexrelid
where not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
"""
_ROLES = "('anon', 'authenticated', 'service_role')"
_GRANTS = f"""
with {_OURS}
select 'grant revoked' as kind, format('%s: %s to %s', o.name, lower(a.privilege_type), r.rolname) as name,
  o.name as home, format('revoke %s on %s from %I', a.privilege_type, o.name, r.rolname) as statement
from ours o cross join aclexplode(o.relacl) a join pg_roles r on r.oid = a.grantee and r.rolname in {_ROLES}
where o.relkind in ('r', 'v', 'm', 'p')
union all
select 'grant added', format('%s: select to anon', o.name), o.name, format('grant select on %s to anon', o.name)
from ours o where o.relkind in ('r', 'v', 'm', 'p')
"""
_FUNCTIONS_OF_OURS = """
from pg_proc p
where p.pronamespace = any (array(select oid from pg_namespace where nspname in ('public', 'private', 'mgmt')))
  and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
"""
_EXECUTES = f"""
select 'execute added' as kind, format('%s.%s to anon', p.pronamespace::regnamespace, p.proname) as name,
  format('%s.%s', p.pronamespace::regnamespace, p.proname) as home,
  format('grant execute on function %s to anon', p.oid::regprocedure) as statement
{_FUNCTIONS_OF_OURS}
"""
_FUNCTIONS = f"""
select format('%s.%s', p.pronamespace::regnamespace, p.proname) as name, pg_get_functiondef(p.oid) as definition
{_FUNCTIONS_OF_OURS} order by 1
"""

_LOCK = re.compile(r"for (?:no key update|update|key share|share)(?: of \w+)?( skip locked)?(?: nowait)?(?=[\s;)])")
_ADVISORY = re.compile(r"\bpg_(?:try_)?advisory_xact_lock(?:_shared)?\(")
# `when <condition> then '<gate>'`, the condition having no case of its own.
_GATE = re.compile(r"\bwhen (?P<condition>(?:(?!\bwhen\b|\bthen\b).)+?) then '(?P<gate>[a-z_]+)'", re.DOTALL)
_GATED = re.compile(r"(_matches|_gates|should_notify|case_changes|claim_pushes)$")


def _of_function(name: str, feature: str, definition: str) -> Iterator[Mutant]:
    for number, match in enumerate(_LOCK.finditer(definition), 1):
        place = f"{name}: {match[0]} ({number})"
        yield Mutant("lock removed", place, feature, _without(definition, match.span()))
        if match[1]:
            yield Mutant("skip locked removed", place, feature, _without(definition, match.span(1)))
    for number, match in enumerate(_ADVISORY.finditer(definition), 1):
        # Takes what the lock took. Nobody holds it: a try always succeeds.
        free = "0 = pg_catalog.num_nulls(" if "try" in match[0] else "pg_catalog.num_nulls("
        yield Mutant(
            "lock removed", f"{name}: {match[0]}…) ({number})", feature, _without(definition, match.span(), free)
        )
    if _GATED.search(name):
        for match in _GATE.finditer(definition):
            statement = _without(definition, match.span("condition"), "false")
            yield Mutant(
                "gate opened",
                f"{name}: {match['gate']} when {' '.join(match['condition'].split())}",
                feature,
                statement,
            )


def _without(text: str, span: tuple[int, int], instead: str = "") -> str:
    return text[: span[0]] + instead + text[span[1] :]
