"""Who may do what with what, tried through the API: each role, each verb, each table, view and function.

What comes out must be role_matrix.toml. An object that it does not name fails, and so does a role that can more or less
than it says. Grants alone say half of it (attend/doctor/privileges.py): the other half are policies and what functions
ask of their caller.
"""

from __future__ import annotations

import tomllib
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from attend.stack.keys import Keys
from tests.support.api_surface import Relation, Routine, relations, routines
from tests.support.database import Database
from tests.support.people import World, empty, neighbours_of
from tests.support.two_organisations import ROLES, Ground, arguments_of

MATRIX_FILE = Path(__file__).with_name("role_matrix.toml")
MATRIX: dict[str, dict[str, Any]] = tomllib.loads(MATRIX_FILE.read_text())
VERBS = {"reads": "GET", "adds": "POST", "changes": "PATCH", "removes": "DELETE"}
# Whose row it is, and somebody else of the same role; who has no role here has no row either.
OWNERS = [f"own {role}" for role in ROLES]
ACTORS = ["anon", "stranger", *ROLES, *OWNERS, "service_role"]
REFUSED = {401, 403}
# A view that cannot be written, or not in all of its columns, says so before it asks who writes.
NOT_WRITABLE = {"55000", "0A000"}
# What says that it was not theirs, and is no error.
NOTHING_DONE = {"unregister_device": {"unregistered": False}}
# So that every view has a row, and there is something to act upon.
MORE = """
  update public.notifications t set retracted_at = null, dismissed_at = null, read_at = null
  where t.organization_id = %(organization)s;
  update public.pastoral_cases t set assigned_servant_id = null
  where t.organization_id = %(organization)s and t.id = %(other_case)s;
  update public.activities t set approval = 'pending', proxy_registered_by = null
  where t.organization_id = %(organization)s and t.user_id = %(user)s;
  update public.devices t set is_active = true, deactivated_at = null, deactivated_reason = null
  where t.organization_id = %(organization)s;
  insert into public.students (organization_id, student_id, full_name, level)
  values (%(organization)s, 9, 'Stig Skole', 'A1');
  insert into public.student_attendance (organization_id, student_id, checkin_time, minutes)
  values (%(organization)s, 9, now() - interval '20 days', 30);
  insert into public.learning_progress
    (organization_id, student_id, lessons_completed, lessons_total, average_score, started_at, last_progress_at)
  values (%(organization)s, 9, 3, 10, 20, now() - interval '99 days', now() - interval '90 days');
"""
# Arguments that name something get what it is called in tests/support/people.py.
IDS = {
    "p_user_id": "mentor",
    "p_case_id": "case",
    "p_servant_id": "admin",
    "p_invitation_id": "invitation",
    "p_rule_id": "rule",
    "p_person_id": "member",
    "p_notification_id": "notification",
    "p_outbox_id": "push",
    "p_device_id": "device",
}


class Place:
    """Our organisation as it was, whatever was done to it: a world is made again once something was changed."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.database = ground, ground.database
        self.rows: dict[str, dict[str, Any] | None] = {}
        self.role = ""
        self.http = httpx.Client(base_url=ground.url, timeout=60)
        self.columns = {
            (row["relation"], row["role"], row["verb"]): row["columns"]
            for row in self.database.rows(
                """
                select c.oid::regclass::text as relation, r.role, v.verb, array_agg(a.attname::text) as columns
                from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                cross join unnest('{anon,authenticated,service_role}'::text[]) r (role)
                cross join unnest('{insert,update}'::text[]) v (verb)
                where a.attgenerated = '' and a.attidentity <> 'a'
                  and (r.role = 'anon' or has_column_privilege(r.role, c.oid, a.attnum, v.verb))
                  and c.relnamespace in ('public'::regnamespace, 'mgmt'::regnamespace)
                group by 1, 2, 3
                """
            )
        }

    def again(self) -> None:
        self.rows, self.role = {}, ""
        empty(self.database)
        ours = World(self.database)
        with self.database.connect() as connection:
            psycopg.ClientCursor(connection).execute(MORE.encode(), ours.ids)
        pending = "select id::text from public.invitations where accepted_at is null and revoked_at is null"
        ours.ids["invitation"] = self.database.value(f"{pending} and organization_id = %s", (ours.organization,))
        self.ground = Ground(self.database, self.ground.url, self.ground.keys, ours, neighbours_of(ours))

    def headers(self, actor: str) -> dict[str, str]:
        """Of a colleague, who has nothing; or ("own …") of her whose rows they are, in that role."""
        if not actor.startswith("own "):
            return self.ground.headers(actor)
        ours = self.ground.ours
        if self.role != actor:
            self.become(actor)
        self.ground.logins[actor] = ours.ids["login"]
        return self.ground.headers(actor)

    def become(self, actor: str) -> None:
        self.role, ours = actor, self.ground.ours
        self.database.execute(
            "update public.users set role = %s::public.user_role where organization_id = %s and id = %s",
            (actor.removeprefix("own "), ours.organization, ours.ids["user"]),
        )

    def row(self, relation: Relation) -> dict[str, Any] | None:
        """One of ours, hers where somebody's."""
        if relation.organization is None:
            return None
        rows = self.database.rows(
            f"select to_jsonb(t) as row from {relation.schema}.{relation.name} t where t.{relation.organization} = %s"
            " order by concat_ws(' ', to_jsonb(t) ->> 'user_id', to_jsonb(t) ->> 'id',"
            "   to_jsonb(t) ->> 'assigned_servant_id', to_jsonb(t) ->> 'contacted_by') like %s desc,"
            " length(to_jsonb(t)::text) desc limit 1",
            (self.ground.ours.organization, f"%{self.ground.ours.ids['user']}%"),
        )
        return rows[0]["row"] if rows else None

    def state(self, relation: Relation) -> list[str]:
        """Which version of which rows there are."""
        if not relation.is_table:
            return []
        rows = self.database.rows(
            f"select t.ctid::text as at from {relation.schema}.{relation.name} t where t.{relation.organization} = %s",
            (self.ground.ours.organization,),
        )
        return sorted(row["at"] for row in rows)

    def try_(self, actor: str, relation: Relation, verb: str) -> bool:
        """Whether it can be done. Refused is a 401 or 403, or that nobody's row is met; all else is a failure."""
        if relation.name not in self.rows:
            self.rows[relation.name] = self.row(relation)
        row, path = self.rows[relation.name], f"/rest/v1/{relation.name}"
        keys = [name for name in ("id", "user_id", "person_id") if row and name in row][:1]
        where = {relation.organization: f"eq.{self.ground.ours.organization}"} if relation.organization else {}
        where |= {name: f"eq.{row[name]}" for name in keys if row}
        where = where or {next(iter(relation.columns)): "not.is.null"}
        headers = {"accept-profile": relation.schema, "content-profile": relation.schema, "prefer": "return=minimal"}
        headers |= self.headers(actor)
        role = actor if actor in {"anon", "service_role"} else "authenticated"
        name = f"{relation.schema}.{relation.name}" if relation.schema != "public" else relation.name
        kind = "insert" if verb == "adds" else "update"
        columns = self.columns.get((name, role, kind)) or self.columns[name, "anon", kind]
        body = {column: (row or {}).get(column) for column in columns}
        if verb == "adds":
            body |= {"id": str(uuid4())} if "id" in body and relation.name != "organizations" else {}
        before = [] if verb == "reads" else self.state(relation)
        answer = self.http.request(
            VERBS[verb],
            path,
            params={} if verb == "adds" else where,
            json=body if verb in {"adds", "changes"} else None,
            headers=headers,
        )
        changed = verb != "reads" and self.state(relation) != before
        if answer.is_success:
            return bool(answer.json()) if verb == "reads" else changed or verb == "adds"
        assert not changed
        code = str(answer.json()["code"])
        if answer.status_code in REFUSED or (code in NOT_WRITABLE and not relation.is_table):
            return False
        # Past all that asks who it is, and stopped by what the row is: a key that exists, a rule of the table.
        assert code.startswith("23") or code == "PT409", (actor, relation.name, verb, answer.status_code, answer.text)
        return True


@pytest.fixture(scope="module")
def place(database: Database, address: tuple[str, Keys]) -> Place:
    empty(database)
    ours = World(database)
    place = Place(Ground(database, *address, ours, neighbours_of(ours)))
    place.again()
    return place


def found(done: list[str]) -> dict[str, str]:
    """Who can, in the words of the file: `any`, with whosesoever row of the organisation; `own`, with their own."""
    anybodys = [actor for actor in done if actor not in OWNERS]
    own = [actor.removeprefix("own ") for actor in done if actor in OWNERS]
    return {"any": " ".join(anybodys), "own": " ".join(role for role in own if role not in anybodys)}


def written(entry: dict[str, dict[str, str]]) -> str:
    """As it would stand in the file."""
    return "\n".join(
        f"{verb} = {{ " + ", ".join(f'{whose} = "{roles}"' for whose, roles in who.items() if roles) + " }"
        for verb, who in entry.items()
        if any(who.values())
    )


def referring_first(reached: list[Relation]) -> list[Relation]:
    """In an order in which the removal of a row takes none along that is still to be tried."""
    referring: dict[str, set[str]] = {relation.name: set() for relation in reached}
    for relation in reached:
        for referred in set(relation.references) & referring.keys() - {relation.name}:
            referring[referred].add(relation.name)
    order = list(TopologicalSorter(referring).static_order())
    return sorted(reached, key=lambda relation: order.index(relation.name))


@pytest.mark.parametrize("verb", list(VERBS))
def test_each_role_does_with_each_table_and_view_what_the_matrix_says_and_nothing_else(place: Place, verb: str) -> None:
    reached = referring_first(relations(place.database))
    done: dict[str, list[str]] = {f"{relation.schema}.{relation.name}": [] for relation in reached}
    for actor in ACTORS:
        place.again()
        for relation in reached:
            if place.try_(actor, relation, verb):
                done[f"{relation.schema}.{relation.name}"].append(actor)
    wrong = {}
    for name, actors in done.items():
        expected = {"any": "", "own": ""} | MATRIX["relations"].get(name, {}).get(verb, {})
        if name not in MATRIX["relations"] or found(actors) != expected:
            wrong[name] = written({verb: found(actors)}) or f"# nobody {verb}"
    assert not wrong, f"\n{MATRIX_FILE.name} says otherwise of, or does not name:\n" + "\n".join(
        f'[relations."{name}"]\n{line}' for name, line in wrong.items()
    )
    assert not [actor for actors in done.values() for actor in actors if actor in {"anon", "stranger"}]


def refused(routine: Routine, answer: httpx.Response) -> bool:
    """Not for them. What they may not know of is not found, though it is there (its id was given)."""
    if answer.is_success:
        return answer.json() == NOTHING_DONE.get(routine.name, object()) if answer.content else False
    return answer.status_code in REFUSED or answer.json()["code"] == "PT404"


def arguments(routine: Routine, place: Place) -> dict[str, Any]:
    """What names something of ours, and of the rest whatever fits."""
    ours = place.ground.ours
    given = arguments_of(routine)
    if "p_organization_id" in routine.arguments:
        given["p_organization_id"] = str(ours.organization)
    for name, type_ in routine.arguments.items():
        if name in routine.required and name in IDS and IDS[name] in ours.ids:
            given[name] = ours.ids[IDS[name]]
        elif routine.name == "unregister_device":
            given[name] = ours.device_token
        elif name in routine.required and name == "p_user_ids":
            given[name] = [ours.ids["mentor"]]
        elif name in routine.required and type_.endswith("[]") and given.get(name) is None:
            given[name] = []
    return given


def test_each_role_calls_what_the_matrix_says_and_nothing_else(place: Place) -> None:
    reached = routines(place.database)
    done: dict[str, list[str]] = {f"{routine.schema}.{routine.name}": [] for routine in reached}
    for actor in ACTORS:
        role = actor if actor in {"anon", "service_role"} else "authenticated"
        for routine in reached:
            name = f"{routine.schema}.{routine.name}"
            headers = place.headers(actor) | {"content-profile": routine.schema}
            path, given = f"/rest/v1/rpc/{routine.name}", arguments(routine, place)
            answer = place.http.post(path, json=given, headers=headers)
            assert answer.status_code < 500, (actor, name, answer.text)
            if role not in routine.roles:
                assert answer.status_code in REFUSED, (actor, name, answer.text)
            elif role == "service_role" or not refused(routine, answer):
                assert answer.status_code not in REFUSED, (actor, name, answer.text)
                done[name].append(actor)
            if answer.is_success and not routine.only_reads:
                place.again()
    wrong = {}
    for name, actors in done.items():
        expected = {"any": "", "own": ""} | MATRIX["functions"].get(name, {})
        if name not in MATRIX["functions"] or found(actors) != expected:
            roles = ", ".join(f'{whose} = "{who}"' for whose, who in found(actors).items() if who)
            wrong[name] = f'"{name}" = {{ {roles} }}'
    assert not wrong, f"\n{MATRIX_FILE.name} says otherwise of, or does not name:\n" + "\n".join(wrong.values())
    assert not [actor for actors in done.values() for actor in actors if actor == "anon"]


def test_the_matrix_names_nothing_that_is_not_there(place: Place) -> None:
    assert MATRIX["relations"].keys() == {f"{r.schema}.{r.name}" for r in relations(place.database)}
    assert MATRIX["functions"].keys() == {f"{r.schema}.{r.name}" for r in routines(place.database)}


CLOSED = (
    "private",
    "vault",
    "cron",
    "net",
    "auth",
    "pg_catalog",
    "information_schema",
    "extensions",
    "tests",
    "storage",
)
WRITTEN = ("{}", '"{}"', "public,{}", "{}, public")


def test_no_other_schema_is_reached_whoever_asks_and_however_it_is_written(place: Place) -> None:
    """Least of all the extensions' own, whose functions everybody may execute who gets there (net.http_post)."""
    for actor in ACTORS:
        for schema in CLOSED:
            for form in WRITTEN if actor in {"anon", "admin", "service_role"} else WRITTEN[:1]:
                profile = form.format(schema)
                headers = place.headers(actor) | {"accept-profile": profile, "content-profile": profile}
                tried = [
                    place.http.get("/rest/v1/decrypted_secrets", headers=headers),
                    place.http.post("/rest/v1/rpc/http_post", json={"url": "http://127.0.0.1:9"}, headers=headers),
                    place.http.patch("/rest/v1/job", json={"active": False}, params={"jobid": "gt.0"}, headers=headers),
                ]
                codes = {(answer.status_code, answer.json()["code"]) for answer in tried}
                assert codes == {(406, "PGRST106")}, (actor, profile, codes)


@pytest.mark.parametrize(
    "name", ["private.runs", '"private"."runs"', "public.users", "vault.decrypted_secrets", "pg_authid"]
)
def test_a_schema_in_the_name_of_a_table_or_function_is_part_of_the_name(place: Place, name: str) -> None:
    for actor in ("anon", "admin", "service_role"):
        for path in (f"/rest/v1/{name}", f"/rest/v1/rpc/{name}"):
            answer = place.http.get(path, headers=place.headers(actor))
            assert (answer.status_code, answer.json()["code"]) in {(404, "PGRST205"), (404, "PGRST202")}, answer.text
