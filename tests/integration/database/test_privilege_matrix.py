"""Who may do what, object by object: the migrations grant what the matrix says, and nothing else."""

from __future__ import annotations

import pytest

from attend.doctor import privileges
from tests.support.database import Database


def test_relations_are_granted_as_the_matrix_says(catalogue: Database) -> None:
    with catalogue.connect() as connection:
        assert privileges.relations(connection) == privileges.RELATIONS


def test_columns_are_granted_as_the_matrix_says(catalogue: Database) -> None:
    with catalogue.connect() as connection:
        assert privileges.columns(connection) == privileges.COLUMNS


def test_functions_are_granted_as_the_matrix_says(catalogue: Database) -> None:
    with catalogue.connect() as connection:
        assert privileges.functions(connection) == privileges.expected_functions()


def test_sequences_are_granted_to_nobody(catalogue: Database) -> None:
    """An identity column needs no right on its sequence."""
    with catalogue.connect() as connection:
        assert privileges.sequences(connection) == {}


@pytest.mark.parametrize(
    ("schema", "roles"), [("private", ["authenticated", "service_role"]), ("mgmt", ["authenticated"])]
)
def test_a_schema_is_used_by_those_who_are_meant_alone(catalogue: Database, schema: str, roles: list[str]) -> None:
    rows = catalogue.rows(
        "select coalesce(r.rolname, 'PUBLIC') as role, x.privilege_type as privilege"
        " from pg_namespace n cross join lateral aclexplode(n.nspacl) x left join pg_roles r on r.oid = x.grantee"
        " where n.nspname = %s and x.grantee <> n.nspowner",
        (schema,),
    )
    assert sorted((r["role"], r["privilege"]) for r in rows) == [(role, "USAGE") for role in roles]


@pytest.mark.parametrize("role", ["anon", "authenticator", "supabase_auth_admin", "supabase_functions_admin"])
def test_nobody_else_has_any_privilege_at_all(catalogue: Database, role: str) -> None:
    """By whatever way it would come: a grant, a grant to PUBLIC, a membership that is inherited, a default."""
    privileges = ["select", "insert", "update", "delete", "truncate", "references", "trigger", "maintain"]
    relations = catalogue.rows(
        "select c.oid::regclass::text as relation, p as privilege from pg_class c, unnest(%s::text[]) p"
        " where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'mgmt'::regnamespace)"
        " and c.relkind in ('r', 'p', 'v', 'm') and has_table_privilege(%s, c.oid, p)",
        (privileges, role),
    )
    functions = catalogue.rows(
        "select p.oid::regprocedure::text from pg_proc p"
        " where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace, 'mgmt'::regnamespace)"
        " and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')"
        " and has_function_privilege(%s, p.oid, 'execute')",
        (role,),
    )
    sequences = catalogue.rows(
        "select c.oid::regclass::text from pg_class c"
        " where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'mgmt'::regnamespace)"
        " and c.relkind = 'S'"
        " and case when c.relkind = 'S' then has_sequence_privilege(%s, c.oid, 'usage, select, update') end",
        (role,),
    )
    assert (relations, functions, sequences) == ([], [], [])
    for schema in ("private", "mgmt"):
        assert not catalogue.value("select has_schema_privilege(%s, %s, 'usage, create')", (role, schema))


@pytest.mark.parametrize("role", ["authenticated", "service_role"])
def test_nobody_truncates_or_hangs_triggers_on_tables(catalogue: Database, role: str) -> None:
    assert not catalogue.rows(
        "select c.oid::regclass::text, p from pg_class c, unnest('{truncate,references,trigger,maintain}'::text[]) p"
        " where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'mgmt'::regnamespace)"
        " and c.relkind in ('r', 'p')"
        " and has_table_privilege(%s, c.oid, p)",
        (role,),
    )


def test_everything_of_ours_belongs_to_postgres(catalogue: Database) -> None:
    """Definer functions run as their owner: one that belonged to a superuser would be a way up."""
    assert not catalogue.rows(
        "select o.name, o.owner::regrole::text from ("
        "  select c.oid::regclass::text, c.relowner, c.relnamespace, c.oid from pg_class c"
        "  union all select p.oid::regprocedure::text, p.proowner, p.pronamespace, p.oid from pg_proc p"
        ") o (name, owner, namespace, oid)"
        " where o.namespace in ('public'::regnamespace, 'private'::regnamespace, 'mgmt'::regnamespace)"
        " and o.owner <> 'postgres'::regrole"
        " and not exists (select from pg_depend d where d.objid = o.oid and d.deptype = 'e')"
    )
