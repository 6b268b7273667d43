"""`attend outbox`: what is on its way, why it is where it is, and trying again, on the real SQL through the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from attend.outbox import store
from tests.integration.cli.conftest import Attend, Office
from tests.support.organisation import NOW, days

HOLDER = UUID(int=7)


@dataclass
class Phones:
    """The people of an office with their phones, and a dispatcher's hand."""

    office: Office
    attend: Attend

    def person(self, name: str, **columns: Any) -> UUID:
        """Somebody who is due, and has a phone."""
        user_id = self.office.person(name, quiet_days=25, **columns)
        self.phone(user_id)
        return user_id

    def phone(self, user_id: UUID) -> UUID:
        return self.office.database.value(
            "insert into public.devices (organization_id, user_id, provider, platform, token)"
            " values (%s, %s, 'fcm', 'android', %s) returning id",
            (self.office.id, user_id, f"token-{uuid4()}"),
        )

    def told(self) -> None:
        """Everybody who is due is told, so that their pushes wait."""
        assert self.attend("decide", "-o", str(self.office.id), "--yes").status == 0

    def claimed(self) -> list[dict[str, Any]]:
        """What a dispatcher takes."""
        return self.office.database.value("select public.claim_outbox(%s)", (HOLDER,))["messages"]

    def outcome(self, verdict: str, reason: str | None = None, attempts: int = 8, **more: Any) -> None:
        """Every push that is due ends so; with one attempt allowed it is given up where that is its end."""
        outcomes = [
            {name: message[name] for name in ("organization_id", "outbox_id", "lease", "device_id")}
            | {"verdict": verdict, "reason": reason, **more}
            for message in self.claimed()
        ]
        assert outcomes
        self.office.database.value(
            "select public.record_outbox(%s, %s::jsonb, p_max_attempts => %s)",
            (HOLDER, json.dumps(outcomes), attempts),
        )

    def states(self) -> dict[str, str]:
        rows = self.office.database.rows(
            "select u.full_name, o.state::text from private.outbox o join public.users u on u.id = o.user_id"
        )
        return {row["full_name"]: row["state"] for row in rows}

    def push_of(self, user_id: UUID) -> UUID:
        return self.office.database.value("select id from private.outbox where user_id = %s", (user_id,))


@pytest.fixture
def phones(office: Office, attend: Attend) -> Phones:
    return Phones(office, attend)


def documents(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


# ------------------------------------------------------------------------------------------- list


def test_a_list_says_whose_push_it_is_where_it_is_and_why(phones: Phones, attend: Attend) -> None:
    kari, ola = phones.person("Kari"), phones.person("Ola")
    phones.told()
    phones.outcome("retry", "UNAVAILABLE (HTTP 503): The service is currently unavailable.")
    phones.office.person("Nils", quiet_days=25)
    phones.told()
    phones.claimed()  # Nils has no phone
    ran = attend("outbox", "list", "-o", "Norra")
    assert ran.status == 0
    lines = {line.split("  ")[2]: line for line in ran.out.splitlines()}
    assert str(phones.push_of(kari)) in lines["Kari"]
    assert str(phones.push_of(ola)) in lines["Ola"]
    assert "  failed   UNAVAILABLE (HTTP 503): The service is currently unavailable.; again " in lines["Kari"]
    assert lines["Nils"].endswith("  skipped  no device")
    assert ran.out.splitlines()[0] == lines["Nils"], "newest first"


def test_a_list_is_narrowed_by_state_person_scenario_and_time(phones: Phones, attend: Attend) -> None:
    phones.person("Kari")
    phones.told()
    phones.outcome("sent", provider_id="m1")
    phones.person("Ola")
    phones.told()
    since = (NOW + timedelta(hours=1)).isoformat()
    phones.office.database.execute("update private.outbox set created_at = %s where state = 'sent'", (NOW - days(2),))
    for arguments, names in (
        ([], ["Ola", "Kari"]),
        (["--state", "sent"], ["Kari"]),
        (["--state", "sent", "--state", "pending"], ["Ola", "Kari"]),
        (["--state", "dead"], []),
        (["--person", "Kari"], ["Kari"]),
        (["--person", "Kari", "--state", "pending"], []),
        (["--scenario", "inactivity"], ["Ola", "Kari"]),
        (["--scenario", "milestone"], []),
        (["--since", (NOW - days(1)).isoformat()], ["Ola"]),
        (["--since", since], []),
        (["--limit", "1"], ["Ola"]),
    ):
        found = documents(attend("outbox", "list", "-o", "Norra", "--json", *arguments).out)
        assert [push["full_name"] for push in found] == names, arguments
    assert attend("outbox", "list", "--state", "dead").err.endswith("No push fits.\n")


def test_without_an_organisation_the_pushes_of_all_are_listed(phones: Phones, attend: Attend) -> None:
    phones.person("Kari")
    phones.told()
    other = Phones(Office(phones.office.database), attend)
    phones.office.database.execute("update public.organizations set name = 'Other' where id = %s", (other.office.id,))
    other.person("Ola")
    other.told()
    assert {push["full_name"] for push in documents(attend("outbox", "list", "--json").out)} == {"Kari", "Ola"}
    assert [push["full_name"] for push in documents(attend("outbox", "list", "-o", "Other", "--json").out)] == ["Ola"]


@pytest.mark.parametrize(("limit", "shown", "more"), [(5, 5, True), (25, 25, False), (24, 24, True), (0, 25, False)])
def test_a_long_list_comes_in_pages_each_push_once(
    phones: Phones, attend: Attend, monkeypatch: pytest.MonkeyPatch, limit: int, shown: int, more: bool
) -> None:
    monkeypatch.setattr(store, "PUSHES_A_PAGE", 4)
    phones.office.mentors(25)
    phones.told()  # all with one time of creation
    ran = attend("outbox", "list", "--json", "--limit", str(limit))
    found = documents(ran.out)
    assert len({push["outbox_id"] for push in found}) == len(found) == shown
    assert (f"There are more than {limit}:" in ran.err) is more
    assert len(attend("outbox", "list", "--limit", str(limit)).out.splitlines()) == shown


# ------------------------------------------------------------------------------------------- show


def test_a_push_is_shown_with_its_words_devices_and_history(phones: Phones, attend: Attend) -> None:
    kari = phones.person("Kari Nordmann")
    phones.told()
    phones.outcome("retry", "UNAVAILABLE (HTTP 503): Later.")
    push = str(phones.push_of(kari))
    phones.office.database.execute("update private.outbox set next_attempt_at = now()")
    phones.outcome("refused", "INVALID_ARGUMENT (HTTP 400): Message too big")
    out = attend("outbox", "show", push).out
    lines = out.splitlines()
    assert lines[0].startswith("Kari Nordmann: inactivity, ")
    assert lines[0].endswith("(Europe/Oslo)")
    assert lines[1] == "dead (given up): INVALID_ARGUMENT (HTTP 400): Message too big, 2 attempts"
    assert "  We miss you" in lines
    assert any("25 days" in line and "Kari" in line for line in lines)
    assert any("android by fcm" in line and "refused" in line and "Message too big" in line for line in lines)
    assert [line.split("  ")[2] for line in lines[lines.index("On the way") + 1 :]] == ["failed", "given up"]
    shown = json.loads(attend("outbox", "show", push, "--json").out)
    assert (shown["outbox_id"], shown["state"], shown["title"]) == (push, "dead", "We miss you")
    assert shown["collapse_key"] == push, "what is not printed is in the JSON all the same"


def test_a_push_on_its_way_is_shown_before_anything_happened(phones: Phones, attend: Attend) -> None:
    kari = phones.person("Kari")
    phones.told()
    out = attend("outbox", "show", str(phones.push_of(kari))).out
    assert "\npending (to be sent)\n" in out
    assert out.endswith("On no device so far.\n")


# ------------------------------------------------------------------------------------------- retry and replay


def test_a_push_that_was_given_up_is_tried_again_once(phones: Phones, attend: Attend) -> None:
    kari = phones.person("Kari")
    phones.told()
    phones.outcome("retry", "down", attempts=1)
    assert phones.states() == {"Kari": "dead"}
    push = str(phones.push_of(kari))
    first, second = attend("outbox", "retry", push), attend("outbox", "retry", push)
    assert (first.status, first.out) == (0, f"{push}  is tried again now\n")
    assert (second.status, second.out) == (0, f"{push}  is on its way already\n")
    phones.outcome("sent", provider_id="m1")
    third = attend("outbox", "retry", push)
    assert (third.status, third.out) == (3, f"{push}  has been sent\n")
    assert phones.claimed() == []


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_of_several_those_before_an_unknown_one_are_said_to_be_tried_again(
    phones: Phones, attend: Attend, options: list[str]
) -> None:
    kari, ola = phones.person("Kari"), phones.person("Ola")
    phones.told()
    phones.outcome("retry", "down", attempts=1)
    ran = attend("outbox", "retry", str(phones.push_of(kari)), str(UUID(int=1)), str(phones.push_of(ola)), *options)
    assert ran.status == 2
    assert f"There is no push {UUID(int=1)}." in ran.err
    assert str(phones.push_of(kari)) in ran.out
    assert str(phones.push_of(ola)) not in ran.out
    assert phones.states() == {"Kari": "pending", "Ola": "dead"}


def test_what_the_person_does_not_want_is_not_tried_again(phones: Phones, attend: Attend) -> None:
    kari, ola = phones.person("Kari"), phones.office.person("Ola", quiet_days=25)
    phones.told()
    phones.office.database.execute(
        "insert into public.notification_preferences (organization_id, user_id, scenario, channel, is_enabled)"
        " values (%s, %s, 'inactivity', 'push', false)",
        (phones.office.id, kari),
    )
    phones.claimed()
    assert phones.states()["Ola"] == "skipped"
    pushes = [str(phones.push_of(kari)), str(phones.push_of(ola))]
    ran = attend("outbox", "retry", *pushes, "--json")
    assert ran.status == 3
    assert [one["outcome"] for one in json.loads(ran.out)] == ["not_wanted", "queued"]


def test_a_replay_tries_what_was_given_up_and_a_second_one_does_nothing(
    phones: Phones, attend: Attend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "DEAD_A_CALL", 2)
    for number in range(5):
        phones.person(f"Person {number}")
    phones.told()
    phones.outcome("retry", "down", attempts=1)
    silent = attend("outbox", "replay")
    assert silent.status == 2
    assert "5 dead pushes of all organisations: try again? Nobody is here to be asked." in silent.err
    assert set(phones.states().values()) == {"dead"}
    assert attend("outbox", "replay", "--yes").out == "5 pushes are tried again.\n"
    assert set(phones.states().values()) == {"pending"}
    assert json.loads(attend("outbox", "replay", "--yes", "--json").out)["replayed"] == 0
    phones.outcome("sent", provider_id="m1")
    assert attend("outbox", "replay", "--yes").out == "0 pushes are tried again.\n"


def test_a_replay_is_narrowed_by_organisation_scenario_time_and_error(phones: Phones, attend: Attend) -> None:
    phones.person("Kari")
    phones.told()
    phones.outcome("retry", "UNAVAILABLE (HTTP 503): Later.", attempts=1)
    other = Office(phones.office.database)
    phones.office.database.execute("update public.organizations set name = 'Other' where id = %s", (other.id,))
    for arguments in (
        ["-o", "Other"],
        ["--scenario", "milestone"],
        ["--since", (NOW + timedelta(hours=1)).isoformat()],
        ["--until", (NOW - days(1)).isoformat()],
        ["--error", "HTTP 400"],
    ):
        assert attend("outbox", "replay", "--yes", *arguments).out == "0 pushes are tried again.\n", arguments
    narrow = ["-o", "Norra", "--scenario", "inactivity", "--since", (NOW - days(1)).isoformat(), "--error", "http 503"]
    assert attend("outbox", "replay", "--yes", *narrow).out == "1 push is tried again.\n"


def test_on_a_terminal_a_replay_asks(phones: Phones, terminal: Callable[..., tuple[int, str]]) -> None:
    phones.person("Kari")
    phones.told()
    phones.outcome("retry", "down", attempts=1)
    status, shown = terminal("outbox", "replay", "-o", "Norra", answers=[("1 dead push of Norra: try again?", "n")])
    assert (status, phones.states()) == (1, {"Kari": "dead"}), shown
    status, shown = terminal("outbox", "replay", "--error", "down", answers=[("Some of the 1 dead push", "y")])
    assert (status, phones.states()) == (0, {"Kari": "pending"}), shown


# ------------------------------------------------------------------------------------------- status, mistakes


def test_the_status_says_what_waits(phones: Phones, attend: Attend) -> None:
    phones.person("Kari")
    phones.told()
    phones.outcome("retry", "down", attempts=1)
    phones.person("Ola")
    phones.told()
    lines = attend("outbox", "status").out.splitlines()
    assert lines[0].startswith("1 due, the oldest since ")
    assert [line.split()[:2] for line in lines[1:6]] == [
        ["1", "pending"],
        ["0", "deferred"],
        ["0", "claimed"],
        ["0", "failed"],
        ["1", "dead"],
    ]
    assert json.loads(attend("outbox", "status", "-o", "Norra", "--json").out)["dead"] == 1


@pytest.mark.parametrize(
    ("arguments", "said", "to_do"),
    [
        (["list", "--state", "lost"], "There is no state 'lost'.", "There are: pending, claimed, sent"),
        (["list", "--scenario", "weather"], "There is no scenario weather.", "There are: "),
        (["list", "--since", "yesterday"], "'yesterday' is no time.", "Say it with its zone"),
        (["list", "--since", "2026-11-01T08:00"], "is another instant in every zone.", "Say it with its zone"),
        (["list", "-o", "Nowhere"], "There is no organisation 'Nowhere'.", "Name one with --organization: 'Norra'."),
        (["list", "--person", "Nobody"], "There is nobody with the full name 'Nobody'.", ""),
        (["show", "12"], "'12' is no push's id.", "attend outbox list shows them."),
        (["show", str(UUID(int=1))], f"There is no push {UUID(int=1)}.", "attend outbox list"),
        (["retry", str(UUID(int=1))], f"There is no push {UUID(int=1)}.", "attend outbox list"),
        (["replay", "--yes", "--scenario", "weather"], "There is no scenario weather.", "There are: "),
    ],
)
def test_a_mistake_is_said_with_what_to_do(
    attend: Attend, office: Office, arguments: list[str], said: str, to_do: str
) -> None:
    ran = attend("outbox", *arguments)
    assert ran.status == 2, office.id
    assert said in ran.err
    assert to_do in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("function", ["show_outbox", "retry_outbox"])
def test_an_unknown_push_is_refused_whatever_the_plan(office: Office, function: str) -> None:
    """Also by a plan that is kept and reads an outbox from one end to the other, where it may find no row at all."""
    with office.database.connect("service_role") as connection:
        connection.execute(
            "set plan_cache_mode = force_generic_plan; set enable_indexscan = off; set enable_bitmapscan = off"
        )
        with pytest.raises(psycopg.Error, match="unknown_push") as refusal:
            connection.execute(f"select public.{function}(%s)".encode(), (UUID(int=1),))
    assert refusal.value.sqlstate == "PT404"


def test_every_command_explains_itself(attend: Attend) -> None:
    for command in ([], ["list"], ["show"], ["retry"], ["replay"], ["status"]):
        ran = attend("outbox", *command, "--help")
        assert ran.status == 0
        assert len(ran.out.splitlines()) > 5
