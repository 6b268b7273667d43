"""What holds for every object of the schema, whoever adds the next one. Exceptions are listed with their reasons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import Database

SCHEMAS = Path(__file__).parents[3] / "supabase" / "schemas"
OURS = "('public', 'private', 'mgmt')"
# Objects of an extension are not ours to hold to anything.
NOT_OF_AN_EXTENSION = "not exists (select from pg_depend d where d.objid = {}.oid and d.deptype = 'e')"

# Tables that belong to no organisation, which therefore lead none of their keys.
WITHOUT_ORGANISATION = {
    "public.organizations": "it is the organisation; its id is what organization_id refers to",
    "private.bells": "one row a function, whoever rings",
    "private.rings": "one row a call of a function, whoever it is for",
    "private.webhook_deliveries": "a webhook id comes from outside, before anybody knows whose it is",
    "private.runs": "a run goes through every organisation",
    "private.run_slices": "a slice is a range of people of one organisation or several",
    "private.schedules": "a schedule serves every organisation",
    "private.push_providers": "a push service reaches people of every organisation",
    "private.retention": "what piles up does so for every organisation",
    "private.case_runs": "a run goes through every organisation",
}
# Keys of tables that do belong to one.
KEYS_WITHOUT_ORGANISATION = {
    "public.user_logins_pkey": "one login is one person, in one organisation for life (rules.md §1)",
    "public.user_logins_auth_user_id_fkey": "auth.users knows no organisations",
    "private.run_slices_run_id_fkey": "a run goes through every organisation",
}
COMMITTING_PROCEDURES: dict[str, str] = {}


def test_organization_id_leads_every_table_that_belongs_to_an_organisation(catalogue: Database) -> None:
    tables = catalogue.rows(
        "select c.oid::regclass::text as name, n.nspname || '.' || c.relname as full_name, a.attname, a.attnotnull"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum = 1"
        f" where n.nspname in {OURS} and c.relkind in ('r', 'p') and {NOT_OF_AN_EXTENSION.format('c')}"
    )
    others = {t["full_name"] for t in tables if t["attname"] != "organization_id"}
    # Whose key is something else all the same begins with that key.
    assert others - {"public.user_logins"} == set(WITHOUT_ORGANISATION)
    assert not [t["full_name"] for t in tables if t["attname"] == "organization_id" and not t["attnotnull"]]


def test_organization_id_leads_every_unique_key(catalogue: Database) -> None:
    keys = catalogue.rows(
        "select n.nspname || '.' || i.relname as key, n.nspname || '.' || t.relname as table_name,"
        "  (select a.attname from pg_attribute a where a.attrelid = t.oid and a.attnum = x.indkey[0]) as leader"
        " from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid"
        f" join pg_namespace n on n.oid = t.relnamespace where x.indisunique and n.nspname in {OURS}"
    )
    assert keys
    strangers = [k for k in keys if k["leader"] != "organization_id" and k["table_name"] not in WITHOUT_ORGANISATION]
    assert {k["key"] for k in strangers} <= set(KEYS_WITHOUT_ORGANISATION)


def test_organization_id_leads_every_foreign_key_on_both_sides(catalogue: Database) -> None:
    keys = catalogue.rows(
        "select n.nspname || '.' || k.conname as key, k.confrelid::regclass::text as target,"
        "  (select a.attname from pg_attribute a where a.attrelid = k.conrelid and a.attnum = k.conkey[1]) as leader,"
        "  (select a.attname from pg_attribute a where a.attrelid = k.confrelid and a.attnum = k.confkey[1])"
        "    as target_leader"
        " from pg_constraint k join pg_namespace n on n.oid = k.connamespace"
        f" where k.contype = 'f' and n.nspname in {OURS}"
    )
    assert keys
    strangers = {
        k["key"]
        for k in keys
        if k["leader"] != "organization_id"
        or (k["target_leader"] != "organization_id" and k["target"] != "organizations")
    }
    assert strangers <= set(KEYS_WITHOUT_ORGANISATION)


def test_organization_id_leads_every_conflict_target() -> None:
    elsewhere = {
        "record_webhook_delivery.sql": "webhook_deliveries belongs to no organisation",
        "open_run.sql": "runs belong to no organisation",
    }
    targets = [
        (path.name, target.strip())
        for path in SCHEMAS.rglob("*.sql")
        for target in re.findall(r"on conflict \(([^)]*)\)", path.read_text())
    ]
    assert targets
    assert {n for n, target in targets if not target.startswith("organization_id")} <= set(elsewhere)


def test_identity_columns_are_bigint(catalogue: Database) -> None:
    columns = catalogue.rows(
        "select a.attrelid::regclass::text || '.' || a.attname as name, a.atttypid::regtype::text as type"
        " from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace"
        f" where a.attidentity <> '' and n.nspname in {OURS}"
    )
    assert columns
    assert {c["type"] for c in columns} == {"bigint"}


def test_row_level_security_is_on_for_every_table(catalogue: Database) -> None:
    assert not catalogue.rows(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        f" where n.nspname in {OURS} and c.relkind in ('r', 'p') and not c.relrowsecurity"
        f" and {NOT_OF_AN_EXTENSION.format('c')}"
    )


def test_policies_speak_of_authenticated_alone(catalogue: Database) -> None:
    policies = catalogue.rows(f"select schemaname, roles::text[] as roles from pg_policies where schemaname in {OURS}")
    # Nobody reaches private tables through the API: row level security without a policy refuses all but the service.
    assert {(p["schemaname"], *p["roles"]) for p in policies} == {("public", "authenticated")}


def test_policies_find_the_reader_once_a_query(catalogue: Database) -> None:
    """A call that is not inside a subselect runs once a row."""
    policies = catalogue.rows(
        "select tablename || ': ' || policyname as name, concat_ws(' ', qual, with_check) as text from pg_policies"
        f" where schemaname in {OURS}"
    )
    for policy in policies:
        calls = len(re.findall(r"(?:private|auth)\.\w+\(", policy["text"]))
        once = len(re.findall(r"SELECT (?:private|auth)\.\w+\(", policy["text"]))
        assert calls == once, f"{policy['name']} asks for every row: {policy['text']}"


def test_policies_never_trust_what_a_person_may_write_about_themselves(catalogue: Database) -> None:
    assert not catalogue.rows(
        "select policyname from pg_policies where concat_ws(' ', qual, with_check) ~ 'user_meta_?data'"
    )


def test_update_policies_check_the_new_row_too(catalogue: Database) -> None:
    assert not catalogue.rows(
        "select tablename, policyname from pg_policies"
        f" where schemaname in {OURS} and cmd in ('UPDATE', 'ALL') and with_check is null"
    )


def test_policies_on_users_never_read_users(catalogue: Database) -> None:
    assert not catalogue.rows(
        "select policyname from pg_policies where schemaname = 'public' and tablename = 'users'"
        " and concat_ws(' ', qual, with_check) ~* 'from (public\\.)?users'"
    )


def test_every_view_asks_as_its_reader(catalogue: Database) -> None:
    views = catalogue.rows(
        "select c.oid::regclass::text as name, c.relkind, coalesce(c.reloptions, '{}') as options from pg_class c"
        f" join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('v', 'm') and n.nspname in {OURS}"
        f" and {NOT_OF_AN_EXTENSION.format('c')}"
    )
    assert not [v["name"] for v in views if v["relkind"] == "v" and "security_invoker=true" not in v["options"]]
    # A materialized view cannot carry row level security: it stays private.
    assert not [v["name"] for v in views if v["relkind"] == "m" and not v["name"].startswith("private.")]


def test_everything_has_a_comment(catalogue: Database) -> None:
    silent = catalogue.rows(
        f"""
        select 'relation ' || c.oid::regclass as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in {OURS} and c.relkind in ('r', 'p', 'v', 'm') and obj_description(c.oid, 'pg_class') is null
          and {NOT_OF_AN_EXTENSION.format("c")}
        union all
        select 'function ' || p.oid::regprocedure from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in {OURS} and obj_description(p.oid, 'pg_proc') is null and {NOT_OF_AN_EXTENSION.format("p")}
        union all
        select 'type ' || t.oid::regtype from pg_type t join pg_namespace n on n.oid = t.typnamespace
        left join pg_class c on c.oid = t.typrelid
        where n.nspname in {OURS} and (t.typtype in ('e', 'd', 'r') or (t.typtype = 'c' and c.relkind = 'c'))
          and obj_description(t.oid, 'pg_type') is null and {NOT_OF_AN_EXTENSION.format("t")}
        """
    )
    assert not silent


def test_every_foreign_key_is_indexed(catalogue: Database) -> None:
    """Or a delete of the parent reads the whole child. An index without the null references serves as well."""
    assert not catalogue.rows(
        f"""
        select k.conrelid::regclass::text, k.conname from pg_constraint k
        join pg_namespace n on n.oid = k.connamespace
        where k.contype = 'f' and n.nspname in {OURS} and not exists (
          select from pg_index i
          where i.indrelid = k.conrelid
            and (select array_agg(column_number order by column_number) from unnest(k.conkey) column_number)
              = (select array_agg(column_number order by column_number)
                 from unnest((i.indkey::int2[])[0:cardinality(k.conkey) - 1]) column_number)
            and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) = any (
              select format('(%I IS NOT NULL)', a.attname) from pg_attribute a
              where a.attrelid = k.conrelid and a.attnum = any (k.conkey))))
        """
    )


# --- Functions ---------------------------------------------------------------------------------------------------


@pytest.fixture
def functions(catalogue: Database) -> list[dict[str, Any]]:
    """Our functions and procedures."""
    found = catalogue.rows(
        "select n.nspname || '.' || p.proname as name, p.proname, p.oid::regprocedure::text as signature, p.prosecdef,"
        "  coalesce(p.proconfig, '{}') as config, p.prokind, p.prosqlbody is not null as is_atomic,"
        "  p.prorettype = 'trigger'::regtype as is_trigger"
        f" from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in {OURS}"
        f" and {NOT_OF_AN_EXTENSION.format('p')}"
    )
    assert found
    return found


def test_every_function_fixes_its_search_path(functions: list[dict[str, Any]]) -> None:
    loose = {
        f["name"]
        for f in functions
        if not f["is_atomic"] and not any(c in ('search_path=""', "search_path=''") for c in f["config"])
    }
    # A procedure with a SET clause may not commit.
    assert loose == set(COMMITTING_PROCEDURES)


def test_no_function_has_an_overload(functions: list[dict[str, Any]]) -> None:
    """An overload with defaults is ambiguous to the API, and takes the caller's error for another's."""
    names = [f["name"] for f in functions]
    assert sorted(names) == sorted(set(names))


def test_every_function_is_the_one_function_of_the_file_with_its_name(functions: list[dict[str, Any]]) -> None:
    created = {
        f"{schema}.{name}": path.stem
        for path in SCHEMAS.rglob("functions/*.sql")
        for schema, name in re.findall(r"^create (?:function|procedure) (\w+)\.(\w+)", path.read_text(), re.MULTILINE)
    }
    assert {f["name"] for f in functions} == set(created)
    assert all(name.endswith(f".{stem}") for name, stem in created.items())


def test_every_definer_function_says_why(functions: list[dict[str, Any]]) -> None:
    definers = {f["proname"] for f in functions if f["prosecdef"]}
    files = {path.stem: path.read_text() for path in SCHEMAS.rglob("functions/*.sql")}
    assert definers
    assert not [name for name in sorted(definers) if "\n-- Definer because " not in files[name]]
    # And the sentence does not stand where it is no longer true.
    assert not [n for n, text in files.items() if "-- Definer because" in text and n not in definers]


def test_no_function_is_open_to_the_public_or_to_anon(functions: list[dict[str, Any]], catalogue: Database) -> None:
    signatures = [f["signature"] for f in functions]
    assert not catalogue.rows(
        "select s from unnest(%s::text[]) s where has_function_privilege('anon', s::regprocedure, 'execute')",
        (signatures,),
    )


def test_trigger_functions_are_nobodys_to_call(functions: list[dict[str, Any]], catalogue: Database) -> None:
    signatures = [f["signature"] for f in functions if f["is_trigger"]]
    assert signatures
    assert not catalogue.rows(
        "select s, r from unnest(%s::text[]) s, unnest('{anon,authenticated,service_role}'::name[]) r"
        " where has_function_privilege(r, s::regprocedure, 'execute')",
        (signatures,),
    )


def test_triggers_that_a_delete_of_a_login_reaches_run_as_their_owner(catalogue: Database) -> None:
    """Such a delete runs as supabase_auth_admin, who may use none of our schemas."""
    rows = catalogue.rows(
        """
        with recursive reached as (
          select 'auth.users'::regclass::oid as relation
          union
          select k.conrelid from pg_constraint k join reached r on r.relation = k.confrelid
          where k.contype = 'f' and k.confdeltype in ('c', 'n', 'd')
        )
        select r.relation::regclass::text as relation, p.proname, p.prosecdef
        from reached r join pg_trigger t on t.tgrelid = r.relation and not t.tgisinternal
        join pg_proc p on p.oid = t.tgfoid
        """
    )
    assert rows
    assert not [r for r in rows if not r["prosecdef"]]


def files_with(pattern: str) -> list[str]:
    return [p.name for p in SCHEMAS.rglob("*.sql") if re.search(pattern, p.read_text(), re.MULTILINE | re.DOTALL)]


def test_no_function_builds_its_sql_from_text() -> None:
    """(`execute function` of a trigger and `grant execute on` are no dynamic SQL.)"""
    assert not files_with(r"^ *execute (?!on |function )")


def test_no_table_is_made_inside_a_do_block() -> None:
    assert not files_with(r"\bdo \$\w*\$.*create table")


def test_long_running_functions_bring_their_own_time_out(functions: list[dict[str, Any]]) -> None:
    """The API cuts off after 8 seconds, hosted projects after two minutes: who needs longer, or less, says so."""
    long_running = {
        *("evaluate_chunk", "drain_scenario_marks", "evaluate_people", "dry_run_scenarios"),
        *("drain_statistics_marks", "rebuild_statistics_chunk"),
        *("auto_generate_absence_pastoral_cases", "work_case_run", "drain_care_marks"),
        *("preview_rule", "save_rule", "retry_quarantine", "export_person", "erase_person"),
        *("claim_outbox", "confirm_outbox", "record_outbox", "record_receipts", "replay_outbox"),
    }
    with_own = {f["proname"] for f in functions if any(c.startswith("statement_timeout=") for c in f["config"])}
    assert long_running <= with_own


def without_where(body: str) -> list[str]:
    """The updates and deletes of a function's text that have no condition of their own."""
    text = re.sub(r"--[^\n]*|/\*.*?\*/", " ", body.lower(), flags=re.DOTALL)
    text = re.sub(r"'(?:[^']|'')*'", "''", text)
    found: list[str] = []
    for match in re.finditer(r"(?<!for )(?<!no key )(?<!do )(?<!of )\bupdate\s+[a-z_]|\bdelete\s+from\b", text):
        own: list[str] = []
        depth = 0
        for character in text[match.start() :]:
            depth += (character == "(") - (character == ")")
            if depth < 0 or (depth == 0 and character == ";"):
                break
            if depth == 0 and character != ")":
                own.append(character)
        statement = " ".join("".join(own).split())
        if not re.search(r"\bwhere\b", statement):
            found.append(statement)
    return found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("delete from private.runs;", ["delete from private.runs"]),
        ("with gone as (delete from a returning id) select 1 where true;", ["delete from a returning id"]),
        ("update a set b = (select c from d where e);", ["update a set b ="]),
        ("update a set b = ' where ';  -- where", ["update a set b = ''"]),
        ("update a set b = 1 where c; select 1 from a for update; for no key update skip locked;", []),
        ("insert into a values (1) on conflict do update set b = 1;", []),
    ],
)
def test_an_update_without_a_condition_is_found(body: str, found: list[str]) -> None:
    assert without_where(body) == found


def test_no_function_updates_or_deletes_without_a_condition(catalogue: Database) -> None:
    """Behind the API pg-safeupdate refuses them, in functions too: "where true" is what it wants to hear."""
    functions = catalogue.rows(
        "select p.oid::regprocedure::text as name, pg_get_functiondef(p.oid) as body from pg_proc p"
        f" join pg_namespace n on n.oid = p.pronamespace where n.nspname in {OURS} and p.prokind in ('f', 'p')"
        f" and {NOT_OF_AN_EXTENSION.format('p')}"
    )
    assert sum("update" in f["body"] or "delete" in f["body"] for f in functions) > 10
    assert {f["name"]: bad for f in functions if (bad := without_where(f["body"]))} == {}
