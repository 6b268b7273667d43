"""Nothing of another organisation comes back through the API, and nothing of it changes: whoever asks, by whatever way.

The attempts are made from the catalogue, so that a table, view or function joins by existing: every relation read
through every filter and written with the other organisation's values, every function called with its ids. Each answer
must be the one that an id gets which nobody has, and the other organisation must be what it was, to the letter.
"""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.api_surface import Relation, Routine, relations, routines
from tests.support.two_organisations import ACTORS, UUID_PATTERN, Ground, arguments_of

# Keys that know no organisations: a login is one person, in one organisation for life (rules.md §1).
WITHOUT_ORGANISATION = {("user_logins", "auth_user_id")}


class Attempts:
    """Requests of one actor; each is held to reveal nothing, and where a twin is given, to answer as to nobody's id."""

    def __init__(self, ground: Ground, actor: str) -> None:
        self.ground, self.actor = ground, actor
        self.client = ground.client(actor)
        self.made = 0
        self.succeeded: set[str] = set()

    def send(
        self, method: str, path: str, body: Any = None, *, schema: str = "public", **options: Any
    ) -> httpx.Response:
        # Nothing is asked back, for to see a row takes a right of its own, whose want would hide that it was written.
        headers = {"accept-profile": schema, "content-profile": schema, "prefer": "return=minimal"}
        headers |= options.pop("headers", {})
        answer = self.client.request(method, path, json=body, headers=headers, **options)
        self.made += 1
        sent = json.dumps([path, body, {**options, "params": str(options.get("params"))}], ensure_ascii=False)
        assert answer.status_code < 500 or answer.status_code == 501, (self.actor, method, path, body, answer.text)
        leaked = self.ground.leaked(sent, answer)
        assert not leaked, (self.actor, method, path, options, body, answer.text[:2000], leaked)
        if answer.is_success:
            self.succeeded.add(path)
        return answer

    def like_nobodys(self, theirs: Any, method: str, path: str, make: Any, **options: Any) -> None:
        """The same request with their id and with one that nobody has: the answers differ in nothing but the id."""
        nobodys = str(uuid4()) if isinstance(theirs, str) else -int(str(theirs)) - 1
        answers: list[tuple[int, str]] = []
        for one in (theirs, nobodys):
            params, body = make(one)
            back = {"prefer": "return=representation"}
            answer = self.send(method, path, body, params=params, headers=back, **options)
            answers.append((answer.status_code, without_ids(answer.text.replace(str(one), "<id>"))))
        assert answers[0] == answers[1], (self.actor, method, path, theirs)


def without_ids(text: str) -> str:
    """An answer but for what is made anew each time: ids, times."""
    text = re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', '"<time>"', text)
    return UUID_PATTERN.sub("<uuid>", text)


def told_apart(value: Any) -> bool:
    """Whether a value is an id, or text that only one organisation has."""
    return isinstance(value, str) and (UUID_PATTERN.fullmatch(value) is not None)


def quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read(attempts: Attempts, relation: Relation, row: dict[str, Any] | None) -> None:
    """Through no filter, each filter, all filters at once, counts, and what refers to what."""
    path, ours = f"/rest/v1/{relation.name}", str(attempts.ground.ours.organization)
    # With the secret key everything may be read; what is asked of ours must be of ours alone.
    own = [(relation.organization, f"eq.{ours}")] if attempts.actor == "service_role" and relation.organization else []
    options: dict[str, Any] = {"schema": relation.schema}
    if attempts.actor == "service_role" and not own:
        return
    attempts.send("GET", path, params=own, **options)
    attempts.send("GET", path, params=[*own, ("order", next(iter(relation.columns))), ("offset", "0")], **options)
    for other in relation.references:
        attempts.send("GET", path, params=[*own, ("select", f"*,{other}(*)")], **options)
    if row is None:
        return
    filters = {name: value for name, value in row.items() if value is not None and not isinstance(value, dict | list)}
    both = ",".join(f"{name}.eq.{quoted(value)}" for name, value in filters.items())
    attempts.send("GET", path, params=[*own, ("or", f"({both})")], **options)
    attempts.send("GET", path, params=[*own, ("not.and", f"({both})")], **options)
    for name, value in filters.items():
        if told_apart(value):
            attempts.like_nobodys(value, "GET", path, lambda one, n=name: ([*own, (n, f"eq.{one}")], None), **options)
            attempts.send("GET", path, params=[*own, (name, f"in.({quoted(value)})")], **options)
            counted = attempts.send(
                "HEAD", path, params=[*own, (name, f"eq.{value}")], headers={"prefer": "count=exact"}, **options
            )
            assert not counted.is_success or counted.headers["content-range"].endswith("/0")


def write(attempts: Attempts, relation: Relation, theirs: dict[str, Any], ours: dict[str, Any] | None) -> None:
    """Add, take over, change and remove theirs; and hang ours on what is theirs."""
    path, options = f"/rest/v1/{relation.name}", {"schema": relation.schema}
    assert relation.organization is not None
    mark = str(theirs[relation.organization])
    upsert = {"prefer": "return=minimal,resolution=merge-duplicates"}
    is_service = attempts.actor == "service_role"
    if not is_service:
        attempts.send("POST", path, theirs, **options)
        attempts.send("POST", path, theirs, headers=upsert, **options)
        attempts.send("POST", path, theirs | ({"id": str(uuid4())} if "id" in theirs else {}), **options)
        attempts.send("DELETE", path, params=[(relation.organization, f"eq.{mark}")], **options)
        attempts.send(
            "DELETE", path, params=[(relation.organization, "not.is.null")], **options
        ) if ours is None else None
        for name in relation.columns:
            attempts.send(
                "PATCH", path, {name: theirs[name]}, params=[(relation.organization, f"eq.{mark}")], **options
            )
    if ours is None:
        return
    where = [(relation.organization, f"eq.{ours[relation.organization]}")]
    for name, value in theirs.items():
        if name == "id" and relation.organization != "id":
            # A key begins with the organisation, so that ours may have the same: it is another row.
            attempts.send("POST", path, {**ours, "id": value}, **options)
            attempts.send("DELETE", path, params=[*where, ("id", f"eq.{value}")], **options)
        if name not in relation.referring - {relation.organization} or not told_apart(value):
            continue
        if (relation.name, name) in WITHOUT_ORGANISATION:
            attempts.send("POST", path, {**ours, name: value}, **options)
            continue
        attempts.like_nobodys(value, "POST", path, hanging(ours, name), **options)
        attempts.like_nobodys(value, "PATCH", path, lambda one, n=name: (where, {n: one}), **options)
        attempts.like_nobodys(value, "DELETE", path, lambda one, n=name: ([*where, (n, f"eq.{one}")], None), **options)
    if not is_service:
        attempts.send("PATCH", path, {relation.organization: mark}, params=where, **options)


def hanging(ours: dict[str, Any], name: str) -> Any:
    """Makes a row of ours that refers to something of theirs."""
    return lambda one: (None, {**ours, **({"id": str(uuid4())} if "id" in ours else {}), name: one})


def call(attempts: Attempts, routine: Routine) -> None:
    """With every id of theirs in every argument that takes one, and theirs for the organisation."""
    ground, path, options = attempts.ground, f"/rest/v1/rpc/{routine.name}", {"schema": routine.schema}
    is_service = attempts.actor == "service_role"
    base = arguments_of(routine)
    if "p_organization_id" in routine.arguments:
        whose = [ground.ours.organization] if is_service else [ground.ours.organization, ground.theirs.organization]
        bases = [base | {"p_organization_id": str(one)} for one in whose]
    elif is_service:
        return  # it names a person by id alone, or serves everybody at once: there is no other to keep out of
    else:
        bases = [base]
    role = attempts.actor if attempts.actor in ("anon", "service_role") else "authenticated"
    if role not in routine.roles:
        refusal = attempts.send("POST", path, bases[-1], **options)
        assert refusal.status_code in (401, 403, 404), (attempts.actor, routine.name, refusal.text)
        return
    if "p_organization_id" in routine.arguments and not is_service:
        # Figures have no name of theirs in them: that there are any is what gives them away.
        theirs = str(ground.theirs.organization)
        attempts.like_nobodys(theirs, "POST", path, lambda one: (None, base | {"p_organization_id": one}), **options)
    for given in bases:
        attempts.send("POST", path, given, **options)
        for name in routine.id_arguments:
            call_with_theirs(attempts, path, given, name, routine.arguments[name], options)
        for name, type_ in routine.arguments.items():
            for theirs in ground.theirs.ids.values() if type_ == "jsonb" else ():
                keys = ("id", "rule_id", "user_id", "organization_id")
                document = dict.fromkeys(keys, theirs) | {"type": "inactivity"}
                attempts.send("POST", path, given | {name: document}, **options)


def call_with_theirs(
    attempts: Attempts, path: str, given: dict[str, Any], name: str, type_: str, options: dict[str, Any]
) -> None:
    for kind, theirs in attempts.ground.theirs.ids.items():
        if kind == "student" and type_ in ("uuid", "uuid[]"):
            continue
        as_argument: Any = (lambda one: [one]) if type_.endswith("[]") else (lambda one: one)
        attempts.like_nobodys(
            theirs, "POST", path, lambda one, a=as_argument: (None, given | {name: a(one)}), **options
        )


@pytest.mark.parametrize("actor", ACTORS)
def test_nothing_of_another_organisation_comes_back_or_changes_through_its_relations(
    ground: Ground, actor: str
) -> None:
    database, attempts, before = ground.database, Attempts(ground, actor), ground.print()
    reached = relations(database)
    rows = {
        (r.schema, r.name): (
            r.row(database, str(ground.theirs.organization)),
            r.row(database, str(ground.ours.organization)),
        )
        for r in reached
        if r.is_table
    }
    for relation in reached:
        theirs, ours = rows.get((relation.schema, relation.name), (None, None))
        read(attempts, relation, theirs)
        if relation.is_table and theirs is not None:
            write(attempts, relation, theirs, ours)
        assert ground.print() == before, (actor, relation.name)
    assert attempts.made > 500
    # The attempts are such as succeed where they may: nobody is refused for how they ask.
    assert bool(attempts.succeeded) == (actor != "anon")


@pytest.mark.parametrize("actor", ACTORS)
def test_nothing_of_another_organisation_comes_back_or_changes_through_its_functions(
    ground: Ground, actor: str
) -> None:
    attempts, before = Attempts(ground, actor), ground.print()
    for routine in routines(ground.database):
        call(attempts, routine)
        assert ground.print() == before, (actor, routine.name)
    assert attempts.made > 20


def test_every_table_that_the_api_reaches_has_a_row_of_theirs_to_be_after(ground: Ground) -> None:
    """A new table joins with a row in tests/support/people.sql."""
    found = [r for r in relations(ground.database) if r.is_table]
    assert len(found) > 30
    assert not [r.name for r in found if r.row(ground.database, str(ground.theirs.organization)) is None]
    assert not [r.name for r in found if r.organization is None]


HOLES = (
    ("create policy hole on public.certificates for select to authenticated using (true)", "certificates"),
    ("create policy hole on public.volunteering for insert to authenticated with check (true)", "volunteering"),
    (
        """
        create function public.hole(p_user_id uuid) returns text language sql security definer
        as $$ select u.full_name from public.users u where u.id = p_user_id $$;
        grant execute on function public.hole(uuid) to authenticated
        """,
        "hole",
    ),
    (
        """
        create function public.total(p_organization_id uuid) returns bigint language sql security definer
        as $$ select count(*) from public.users u where u.organization_id = p_organization_id $$;
        grant execute on function public.total(uuid) to authenticated
        """,
        "total",
    ),
    (
        """
        create view public.gap as select u.organization_id, u.full_name from public.users u;
        grant select on public.gap to authenticated
        """,
        "gap",
    ),
)


@pytest.mark.parametrize(("statement", "name"), HOLES, ids=[name for _, name in HOLES])
def test_a_leak_would_be_noticed(ground: Ground, statement: str, name: str) -> None:
    """The same attempts, where a policy lets anybody, a view runs as its owner, a function looks at whomever."""
    with ground.database.connect() as owner:
        owner.execute("begin")
        owner.execute(statement.encode(), prepare=False)
        owner.execute("notify pgrst, 'reload schema'")
        owner.execute("commit")
    try:
        attempts, before = Attempts(ground, "admin"), ground.print()
        wait_for_the_schema(attempts, name)
        with pytest.raises(AssertionError):
            attempt(ground, attempts, name, before)
    finally:
        with ground.database.connect() as owner:
            owner.execute("drop policy if exists hole on public.certificates")
            owner.execute("drop policy if exists hole on public.volunteering")
            owner.execute("drop function if exists public.hole, public.total")
            owner.execute("drop view if exists public.gap")


def attempt(ground: Ground, attempts: Attempts, name: str, before: list[Any]) -> None:
    for relation in relations(ground.database):
        if relation.name == name:
            theirs = relation.row(ground.database, str(ground.theirs.organization))
            read(attempts, relation, theirs)
            if relation.is_table and theirs:
                write(attempts, relation, theirs, None)
    for routine in routines(ground.database):
        if routine.name == name:
            call(attempts, routine)
    assert ground.print() == before


def wait_for_the_schema(attempts: Attempts, name: str) -> None:
    """Until the API knows what was just made."""
    arguments = {"hole": "p_user_id", "total": "p_organization_id"}
    ask: tuple[str, str, Any] = ("GET", f"/rest/v1/{name}", None)
    if name in arguments:
        ask = ("POST", f"/rest/v1/rpc/{name}", {arguments[name]: str(uuid4())})
    for _ in range(500):
        if attempts.client.request(ask[0], ask[1], json=ask[2]).status_code != 404:
            return
    pytest.fail(f"the API does not know {name}")
