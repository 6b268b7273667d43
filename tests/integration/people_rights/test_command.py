"""`attend person`: what it shows, what it asks, what it writes; and what a person gets with her own token."""

from __future__ import annotations

import json
import resource
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from attend.stack.keys import Keys
from tests.integration.cli.conftest import Attend, api, attend, terminal
from tests.integration.people_rights.test_classification import everything
from tests.support.people import NAMES, World
from tests.support.served import Api

__all__ = ["api", "attend", "terminal"]


@pytest.mark.parametrize("kind", list(NAMES))
def test_an_export_is_for_reading_and_for_machines(attend: Attend, world: World, kind: str) -> None:
    ran = attend("person", "export", world.names[kind], "--kind", kind)
    assert (ran.status, ran.out.splitlines()[0]) == (
        0,
        f"Everything that Norra holds of {kind} {world.ids[kind]}, {ran.out.splitlines()[0].rsplit(', ', 1)[1]}",
    )
    assert world.names[kind] in ran.out
    document = json.loads(attend("person", "export", world.ids[kind], "--kind", kind, "--json").out)
    assert {**document, "exported_at": None} == {**world.export(kind), "exported_at": None}
    for section in document["records"]:
        assert f"\n{section.replace('_', ' ')} (" in ran.out, section


def test_an_export_goes_to_a_file_of_ones_own(attend: Attend, world: World, tmp_path: Path) -> None:
    file = tmp_path / "kari.json"
    ran = attend("person", "export", world.names["user"], "--json", "--output", str(file))
    assert (ran.status, ran.out) == (0, "")
    assert json.loads(file.read_text())["records"]["users"][0]["full_name"] == world.names["user"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ran = attend("person", "export", world.names["user"], "--output", str(file))
    assert (ran.status, "Name a file that is not there yet" in ran.err) == (1, True)
    ran = attend("person", "export", world.names["user"], "--output", str(tmp_path / "none" / "kari.json"))
    assert (ran.status, "Make its folder first" in ran.err) == (1, True)


def test_of_an_export_that_does_not_fit_nothing_stays(attend: Attend, world: World, tmp_path: Path) -> None:
    file = tmp_path / "kari.json"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limit[1]))
    try:
        ran = attend("person", "export", world.names["user"], "--json", "--output", str(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (ran.status, "cannot be written" in ran.err) == (1, True)
    assert not file.exists()


def test_without_a_yes_the_counts_are_shown_and_nobody_is_erased(attend: Attend, world: World) -> None:
    before = everything(world.database)
    ran = attend("person", "erase", world.names["member"], "--kind", "member")
    assert (ran.status, ran.out) == (2, "")
    for said in (
        "Would be erased:",
        "pastoral cases",
        "Kept under an id that leads nowhere",
        "attendance records",
        "[erased]",
    ):
        assert said in ran.err
    assert "nothing is erased" in ran.err
    assert "Say --yes." in ran.err
    assert everything(world.database) == before


def test_on_a_terminal_it_asks(terminal: Callable[..., tuple[int, str]], world: World) -> None:
    command = ("person", "erase", world.names["contact"], "--kind", "contact")
    status, _ = terminal(*command, answers=[("for ever? [y/N]", "n")])
    assert status == 1
    assert attend_sees(world, "contact")
    status, shown = terminal(*command, answers=[("for ever? [y/N]", "y")])
    assert (status, f"{world.ids['contact']} was erased on" in shown) == (0, True)
    assert not attend_sees(world, "contact")


def attend_sees(world: World, kind: str) -> bool:
    return world.database.value(
        "select private.records_of(%s, %s, %s) is not null", (world.organization, kind, world.ids[kind])
    )


def test_machines_say_yes_and_may_say_it_twice(attend: Attend, world: World) -> None:
    first = json.loads(attend("person", "erase", world.ids["user"], "--yes", "--json").out)
    assert first["erased"]["users"] == 1
    again = attend("person", "erase", world.ids["user"], "--yes", "--json")
    assert (again.status, json.loads(again.out)) == (0, {**first, "erased": {}, "kept": {}, "mentions": {}})
    # Whoever is erased already need not be asked about.
    asked = attend("person", "erase", world.ids["user"])
    assert (asked.status, asked.out.startswith(f"{world.ids['user']} was erased on")) == (0, True)


def test_nobody_and_several_are_said_to_be_so(attend: Attend, world: World) -> None:
    before = everything(world.database)
    ran = attend("person", "erase", "Nobody Here", "--yes")
    assert (ran.status, "No user of Norra is called 'Nobody Here'." in ran.err) == (2, True)
    ran = attend("person", "erase", world.ids["member"], "--yes")
    assert (ran.status, "There is no user" in ran.err, "another --kind" in ran.err) == (2, True, True)
    # Whoever asks to see is not told of erasing.
    ran = attend("person", "export", world.ids["member"])
    assert (ran.status, "There is no user" in ran.err, "erased" in ran.err) == (2, True, False)
    assert everything(world.database) == before
    world.database.execute(
        "insert into public.users (organization_id, full_name, role) values (%s, %s, 'manager')",
        (world.organization, world.names["user"]),
    )
    ran = attend("person", "erase", world.names["user"], "--yes")
    assert (ran.status, "Say which, by id" in ran.err, world.ids["user"] in ran.err) == (2, True, True)


def test_a_login_that_others_hold_on_to_is_named(attend: Attend, world: World) -> None:
    world.database.execute("create table public.orders (login uuid references auth.users (id), id bigint primary key)")
    try:
        world.database.execute("insert into public.orders values (%s, 1)", (world.ids["login"],))
        ran = attend("person", "erase", world.ids["user"], "--yes")
        assert (ran.status, "the table orders of this project holds on to the login" in ran.err) == (1, True)
    finally:
        world.database.execute("drop table public.orders")


def test_a_person_gets_her_own_with_her_own_token_and_nobody_elses(api: Api, world: World, neighbours: World) -> None:
    keys = Keys()

    def call(login: str | None, **arguments: Any) -> httpx.Response:
        headers = {"apikey": keys.publishable} | (
            {"authorization": f"Bearer {keys.user_token(login)}"} if login else {}
        )
        return httpx.post(f"{api.url}/rest/v1/rpc/export_my_data", json=arguments, headers=headers)

    document = call(world.ids["login"]).json()
    assert {**document, "exported_at": None} == {**world.export("user"), "exported_at": None}
    text = json.dumps(document, ensure_ascii=False)
    for stranger in ("Ada Minister", "Per Mentor", "Olga Other", "Dina Dahl", world.names["member"], "Kari Hansen"):
        assert stranger not in text
    for own in (world.ids["admin"], world.ids["mentor"], world.ids["member"], world.ids["contact"], world.secret):
        assert own not in text
    assert call(neighbours.ids["login"]).json()["person_id"] == neighbours.ids["user"]
    # Whoever has left the organisation may ask all the same.
    world.database.execute("update public.users set is_active = false where id = %s", (world.ids["user"],))
    assert call(world.ids["login"]).status_code == 200
    # There is no argument by which to ask for another, and nobody to ask without a token.
    assert call(world.ids["login"], p_person_id=world.ids["admin"]).status_code == 404
    assert call(None).status_code == 401
