"""Everything the API reaches, read from the catalogue: relations with a row of each organisation, and functions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.support.database import Database

SCHEMAS = ("public", "mgmt")
_ROLES = ("anon", "authenticated", "service_role")


@dataclass(frozen=True)
class Relation:
    """A table or view, and what of it may be named in a request."""

    schema: str
    name: str
    columns: dict[str, str]
    references: tuple[str, ...]
    referring: frozenset[str]
    is_table: bool

    @property
    def organization(self) -> str | None:
        """The column that says whose a row is; a manager's panel is the reader's own, and has none."""
        return (
            "id" if self.name == "organizations" else "organization_id" if "organization_id" in self.columns else None
        )

    def row(self, database: Database, organization: str) -> dict[str, Any] | None:
        """A row of an organisation as JSON has it, from behind row-level security; the fullest there is."""
        if self.organization is None:
            return None
        rows = database.rows(
            f"select to_jsonb(t) as row from {self.schema}.{self.name} t where t.{self.organization} = %s"
            " order by length(to_jsonb(t)::text) desc limit 1",
            (organization,),
        )
        return json.loads(json.dumps(rows[0]["row"])) if rows else None


@dataclass(frozen=True)
class Routine:
    """A function: its arguments with their types, which of them have no default, who may call it, and whether it
    only reads."""

    schema: str
    name: str
    arguments: dict[str, str]
    required: frozenset[str]
    roles: frozenset[str]
    only_reads: bool

    @property
    def id_arguments(self) -> list[str]:
        """Arguments that name somebody or something: ids by type, or by what they are called. (A place is no name.)"""
        return [
            name
            for name, type_ in self.arguments.items()
            if name != "p_organization_id"
            and not name.startswith("p_after_")
            and (type_ in ("uuid", "uuid[]") or name.endswith(("_id", "_ids")))
        ]


def relations(database: Database) -> list[Relation]:
    rows = database.rows(
        """
        select n.nspname as schema, c.relname as name, c.relkind in ('r', 'p') as is_table,
          (select jsonb_object_agg(a.attname, format_type(a.atttypid, -1)) from pg_attribute a
           where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
          coalesce((select array_agg(distinct k.confrelid::regclass::text) from pg_constraint k
           where k.conrelid = c.oid and k.contype = 'f'), '{}') as refers_to,
          array(select a.attname::text from pg_constraint k join pg_attribute a on a.attrelid = k.conrelid
            and a.attnum = any (k.conkey) where k.conrelid = c.oid and k.contype = 'f') as referring
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any (%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
          and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
        order by 1, 2
        """,
        (list(SCHEMAS),),
    )
    return [
        Relation(r["schema"], r["name"], r["columns"], tuple(r["refers_to"]), frozenset(r["referring"]), r["is_table"])
        for r in rows
    ]


def routines(database: Database) -> list[Routine]:
    rows = database.rows(
        """
        select n.nspname as schema, p.proname as name,
          coalesce((select jsonb_object_agg(a.name, format_type(a.type, -1))
            from unnest(p.proargnames[:p.pronargs], p.proargtypes::oid[]) a (name, type)), '{}') as arguments,
          coalesce(p.proargnames[:p.pronargs - p.pronargdefaults], '{}') as required,
          array(select r.role from unnest(%s::text[]) r (role)
            where has_function_privilege(r.role, p.oid, 'execute')) as roles,
          p.provolatile <> 'v' as only_reads
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = any (%s) and p.prokind = 'f' and p.prorettype <> 'trigger'::regtype
          and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
        order by 1, 2
        """,
        (list(_ROLES), list(SCHEMAS)),
    )
    return [
        Routine(
            r["schema"], r["name"], r["arguments"], frozenset(r["required"]), frozenset(r["roles"]), r["only_reads"]
        )
        for r in rows
    ]
