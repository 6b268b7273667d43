"""Erased is erased: nothing finds the person any more, no figure changes, and what runs goes on without a word."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from attend.stack import installation
from tests.integration.people_rights.test_classification import everything
from tests.support.database import Database
from tests.support.people import NAMES, World

PERIODS = ("day", "week", "month", "quarter", "year", "all_time")


def dumped(database: Database) -> str:
    """Every row of every table of the whole database, the platform's own included."""
    command = [str(installation.program("pg_dump")), "--data-only", "--inserts", database.dsn("supabase_admin")]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def figures(world: World) -> dict[str, Any]:
    """What the organisation and each of its people have been reported with, and what a congregation counts."""
    database, organization = world.database, world.organization
    team = {
        (period, ago): database.value(
            "select private.team_figures(%s, %s::public.statistics_period, (now() at time zone 'UTC')::date - %s, null)"
            " - '{is_being_recomputed,oldest_computed_at}'::text[]",
            (organization, period, ago),
        )
        for period in PERIODS
        for ago in (0, 3, 40, 41)
    }
    each = database.rows(
        "select s.period_type, s.period_start, s.total_activities, s.total_duration_minutes, s.unique_contacts_reached,"
        "  s.activity_type_breakdown, s.proxy_activity_count, s.streak_days, s.bufdir_eligible_count,"
        "  s.last_activity_date"
        " from public.activity_statistics s where s.organization_id = %s and s.total_activities > 0"
        " order by 1, 2, 3, 4, 5, s.activity_type_breakdown::text",
        (organization,),
    )
    services = database.rows(
        "select service_date, status, count(*) from public.attendance_records where organization_id = %s"
        " group by 1, 2 order by 1, 2",
        (organization,),
    )
    rest = {
        name: database.value(f"select {sum_} from public.{name} where organization_id = %s", (organization,))
        for name, sum_ in (
            ("donations", "sum(amount)"),
            ("volunteering", "count(*)"),
            ("class_participations", "count(*)"),
            ("activity_contacts", "count(*)"),
            ("student_attendance", "array_agg(distinct (checkin_time, minutes)::text)"),
        )
    }
    reports = database.rows(
        "select id, figures, frozen_at from public.team_reports where organization_id = %s order by id", (organization,)
    )
    return {"team": team, "each": each, "services": services, "reports": reports, **rest}


def drain(database: Database) -> dict[str, Any]:
    """Everything that runs, once, as the functions and cron call it."""
    service = {
        "marks": "select public.drain_statistics_marks()",
        "again": "select public.drain_statistics_marks()",
        "people": "select public.drain_scenario_marks()",
        "care": "select public.drain_care_marks()",
        "night": "select public.work_case_run(now(), 100)",
        "run": "select public.start_run('scenario-evaluation', gen_random_uuid())",
    }
    cron = ("private.run_scenario_tick()", "private.refresh_engagement_scores()", "private.sweep_expired()")
    with database.connect("service_role") as connection:
        results = {name: next(iter(connection.execute(sql).fetchone().values())) for name, sql in service.items()}  # type: ignore[union-attr]
    for call in cron:
        database.execute(f"select {call}")
    return results


@pytest.mark.parametrize("kind", list(NAMES))
def test_a_search_of_the_whole_database_finds_nothing(world: World, neighbours: World, kind: str) -> None:
    text = dumped(world.database).lower()
    for secret in world.secrets_of(kind):
        assert secret.lower().replace("'", "''") in text, f"{secret} is nowhere to begin with"
    world.erase(kind)
    drain(world.database)
    text = dumped(world.database).lower()
    for secret in world.secrets_of(kind):
        assert secret.lower().replace("'", "''") not in text, secret
    # And the search would have found what is left: the others, with the same first name.
    assert all(name.lower() in text for name in neighbours.names.values())
    if kind != "student":  # whose number is any number
        assert world.ids[kind] not in re.sub(
            r"insert into private.erasures.*|insert into private.\w+_marks.*", "", text
        )


@pytest.mark.parametrize("kind", list(NAMES))
def test_no_figure_changes_neither_at_once_nor_when_it_is_counted_again(world: World, kind: str) -> None:
    drain(world.database)
    before = figures(world)
    world.erase(kind)
    assert figures(world) == before
    drain(world.database)
    assert figures(world) == before
    # Not even when everything is counted anew.
    world.database.execute("update public.activity_statistics set total_activities = 99 where period_type = 'all_time'")
    world.recount()
    assert figures(world) == before


@pytest.mark.parametrize("kind", list(NAMES))
def test_what_still_runs_fails_at_nothing_and_tells_nobody(world: World, kind: str) -> None:
    database = world.database
    # The user went quiet long ago and would be reminded; the member is at risk and has a servant.
    database.execute("delete from public.notifications")
    database.execute("delete from private.cooldowns")
    database.execute("update public.users set role = 'peer_mentor', away_from = null, away_until = null")
    database.execute("delete from private.quarantine")
    database.execute("delete from public.activities where occurred_at > now() - interval '30 days'")
    world.erase(kind)
    results = drain(database)
    assert results["people"]["counts"].get("quarantined") is None
    assert database.rows("select * from private.quarantine") == []
    told = database.rows("select user_id, context from public.notifications")
    strangers = database.rows("select id from public.users where full_name = 'Erased'")
    assert not [n for n in told if n["user_id"] in [row["id"] for row in strangers]]
    assert world.ids[kind] not in str(told)
    # Others are told as ever.
    assert [str(n["user_id"]) for n in told if str(n["user_id"]) == world.ids["mentor"]]


@pytest.mark.usefixtures("neighbours")
def test_what_a_rehearsal_counts_is_what_an_erasure_does(world: World) -> None:
    for kind in NAMES:
        before = everything(world.database)
        rehearsed = world.erase(kind, rehearse=True)
        assert everything(world.database) == before
        assert rehearsed["erased_at"] is None
        done = world.erase(kind)
        assert {**done, "erased_at": None} == rehearsed
        assert done["erased_at"]


def test_the_counts_say_what_goes_what_stays_and_where_the_name_stood(world: World) -> None:
    rows = "select count(*) from public.activity_statistics where user_id = %s"
    statistics = world.database.value(rows, (world.ids["user"],))
    done = world.erase("user")
    assert done["kept"] == {
        "activities": 4,
        "activity_statistics": statistics,
        "activities_registered_for_others": 1,
    }
    assert done["erased"]["logins"] == 1
    assert done["erased"]["invitations"] == 2
    assert done["mentions"] == {
        "classes": 1,
        "notification_templates": 1,
        "notifications": 1,
        "pastoral_case_events": 12,  # whose it was, too
        "pastoral_cases": 2,
        "pastoral_contacts": 1,
        "student_notes": 1,
        "team_reports": 1,
    }
    done = world.erase("member")
    assert done["kept"] == {"attendance_records": 5, "volunteering": 1, "class_participations": 1, "donations": 1}
    assert done["erased"]["pastoral_cases"] == 3


@pytest.mark.parametrize("kind", list(NAMES))
def test_again_is_the_same_and_nothing_else(world: World, kind: str) -> None:
    first = world.erase(kind)
    before = everything(world.database)
    second, shown = world.erase(kind), world.erase(kind, rehearse=True)
    assert second == shown == {**first, "erased": {}, "kept": {}, "mentions": {}}
    assert everything(world.database) == before


def test_nobody_is_refused_by_name_and_nothing_happens(world: World, neighbours: World) -> None:
    before = everything(world.database)
    for organization, kind, person in (
        (world.organization, "user", neighbours.ids["user"]),
        (world.organization, "user", world.ids["member"]),
        (world.organization, "member", world.ids["contact"]),
        (world.organization, "user", world.names["user"]),
        (world.ids["user"], "user", world.ids["user"]),
    ):
        with pytest.raises(psycopg.Error, match="unknown_person") as refusal:
            world.database.value("select public.erase_person(%s, %s, %s)", (organization, kind, person))
        assert refusal.value.sqlstate == "PT404"
    assert everything(world.database) == before


def test_a_login_that_others_hold_on_to_is_said_before_and_nothing_is_half_done(world: World) -> None:
    database = world.database
    database.execute("create table public.orders (login uuid references auth.users (id), id bigint primary key)")
    try:
        database.execute("insert into public.orders values (%s, 1)", (world.ids["login"],))
        before = everything(database)
        for rehearse in (True, False):
            with pytest.raises(psycopg.Error, match="login_is_referenced") as refusal:
                world.erase("user", rehearse=rehearse)
            assert '"table": "orders"' in str(refusal.value.diag.message_detail)
        assert everything(database) == before
        database.execute("delete from public.orders")
        assert world.erase("user")["erased_at"]
    finally:
        database.execute("drop table public.orders")


def test_whom_a_servant_looked_after_somebody_else_looks_after(world: World) -> None:
    database, case = world.database, world.ids["other_case"]
    servant = database.value(
        "insert into public.users (organization_id, full_name, role) values (%s, 'Sara', 'servant') returning id",
        (world.organization,),
    )
    database.execute("update public.people set status = 'active'")
    world.erase("user")
    assert database.value("select assigned_servant_id from public.pastoral_cases where id = %s", (case,)) is None
    database.execute("update public.families set assigned_servant_id = %s", (servant,))
    drain(database)
    assert database.value("select assigned_servant_id from public.pastoral_cases where id = %s", (case,)) == servant


def test_a_household_goes_with_its_last_member_and_not_before(world: World) -> None:
    database = world.database
    families = "select count(*) from public.families where id = %s"
    database.execute(
        "insert into public.people (organization_id, family_id, full_name) values (%s, %s, 'Sister')",
        (world.organization, world.ids["family"]),
    )
    world.erase("member")
    assert database.value(families, (world.ids["family"],)) == 1
    assert (
        database.value("select name from public.families where id = %s", (world.ids["family"],))
        == "The house of [erased]"
    )
    sister = database.value("select id from public.people where full_name = 'Sister'")
    database.value("select public.erase_person(%s, 'member', %s)", (world.organization, str(sister)))
    assert database.value(families, (world.ids["family"],)) == 0


def test_whoever_has_nothing_is_erased_too(world: World) -> None:
    """A person added by proxy, who never did anything and never had a login; a contact without a name."""
    database = world.database
    person = database.value(
        "insert into public.users (organization_id, full_name, role) values (%s, 'X', 'peer_mentor') returning id",
        (world.organization,),
    )
    contact = database.value(
        "insert into public.contacts (organization_id) values (%s) returning id", (world.organization,)
    )
    for kind, one in (("user", person), ("contact", contact)):
        done = database.value("select public.erase_person(%s, %s, %s)", (world.organization, kind, str(one)))
        assert done["erased_at"]
        assert done["mentions"] == {}


def test_who_is_erased_is_gone_from_every_answer(world: World) -> None:
    world.erase("user")
    for question in (
        "select public.explain_scenarios(%(o)s, %(u)s)",
        "select public.export_person(%(o)s, 'user', %(u)s)",
        "select public.enqueue_notification(%(u)s, 'inactivity', '{}')",
        "select public.should_notify(%(u)s, 'inactivity')",
    ):
        with pytest.raises(psycopg.Error, match=r"unknown_(user|person)"):
            world.database.execute(question, {"o": world.organization, "u": world.ids["user"]})
    with world.database.as_user(world.ids["login"]) as connection:
        assert connection.execute("select * from public.users").fetchall() == []
        with pytest.raises(psycopg.Error, match="nobody_of_any_organisation"):
            connection.execute("select public.export_my_data()")


def test_the_platform_may_have_deleted_the_login_before(world: World) -> None:
    world.database.execute("delete from auth.users where id = %s", (world.ids["login"],))
    assert world.erase("user")["erased_at"]


def test_another_organisation_is_untouched_by_everything(world: World, neighbours: World) -> None:
    def theirs() -> dict[str, list[str]]:
        mark = str(neighbours.organization)
        return {table: sorted(row for row in rows if mark in row) for table, rows in everything(world.database).items()}

    before = theirs()
    assert sum(map(len, before.values())) > 60
    for kind in NAMES:
        world.erase(kind)
    assert theirs() == before


def test_what_a_dispatcher_has_in_hand_is_not_sent_and_its_outcome_is_nobodys(world: World) -> None:
    database, holder = world.database, str(uuid4())
    database.execute("update public.users set away_from = null, away_until = null")
    database.execute("update public.devices set is_active = true, deactivated_at = null, deactivated_reason = null")
    database.execute("delete from private.quarantine")
    enqueue = "select public.enqueue_notification(%s, 'inactivity', %s, 'in hand') ->> 'outcome'"
    context = {"threshold_days": 21, "anchor_at": "2026-01-01T00:00:00Z", "last_activity_at": "2026-01-01T00:00:00Z"}
    assert database.value(enqueue, (world.ids["user"], json.dumps(context))) == "sent"
    with database.connect("service_role") as dispatcher:

        def call(query: str, *arguments: Any) -> dict[str, Any]:
            row = dispatcher.execute(query.encode(), arguments).fetchone()
            assert row is not None
            return next(iter(row.values()))

        claimed = call("select public.claim_outbox(%s)", holder)
        (message,) = claimed["messages"]
        assert message["token"] == world.device_token
        world.erase("user")
        push = {name: message[name] for name in ("organization_id", "outbox_id", "lease")}
        confirmed = call("select public.confirm_outbox(%s, %s)", holder, json.dumps([push]))
        assert confirmed == {"going": [], "held": {}}
        # It had been sent already, and the provider answers only now.
        outcome = push | {"device_id": message["device_id"], "verdict": "sent", "provider_id": "m"}
        recorded = call("select public.record_outbox(%s, %s)", holder, json.dumps([outcome]))
        assert (recorded["recorded"], recorded["lost"]) == (0, [message["outbox_id"]])
        assert call("select public.claim_outbox(%s)", holder)["claimed"] == 0
    assert world.device_token not in dumped(database)
