"""The interfaces of the engine against the real SQL."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.scenario_trigger_engine.engine import ScenarioTriggerEngine
from functions.scenario_trigger_engine.payload import Event, parse_event
from shared.cooldown import Cooldown
from shared.errors import Refused
from shared.preferences import Preferences
from shared.supabase_client import Supabase
from tests.support.database import Database
from tests.support.organisation import NOW, Organisation, days

BELL = parse_event(b'{"type":"BELL","schema":"public","table":"activities","bell_id":"b"}')
EVALUATION = parse_event(b'{"type":"SCHEDULE","schedule":"scenario-evaluation","bell_id":"b"}')

type Make = Callable[..., ScenarioTriggerEngine]


def row_payload(kind: str, table: str, record: Any = None, old_record: Any = None) -> Event:
    payload = {"type": kind, "schema": "public", "table": table, "record": record, "old_record": old_record}
    return parse_event(json.dumps(payload, default=str).encode())


def opt_out(
    database: Database, organisation: Organisation, user_id: UUID, scenario: str = "all", channel: str = "all"
) -> None:
    database.execute(
        "insert into public.notification_preferences (organization_id, user_id, scenario, channel, is_enabled)"
        " values (%s, %s, %s, %s, false)",
        (organisation.id, user_id, scenario, channel),
    )


async def somebody_told(organisation: Organisation) -> None:
    async with asyncio.timeout(30):
        while not organisation.notified():  # noqa: ASYNC110 - the event is another process's
            await asyncio.sleep(0.02)


# ------------------------------------------------------------------------------------------- the evaluator


@pytest.mark.parametrize(
    ("quiet_days", "matched"), [(20.99, False), (21, True), (21.01, True), (300, True), (0, False)]
)
async def test_a_mentor_matches_from_exactly_the_threshold_on(
    engine: ScenarioTriggerEngine, organisation: Organisation, quiet_days: float, matched: bool
) -> None:
    user_id = organisation.mentor(quiet_days=quiet_days)
    answer = await engine.evaluate_inactivity_scenario(user_id, 21, now=NOW)
    assert answer.matched is matched
    assert answer.days_inactive == pytest.approx(quiet_days, abs=0.001)
    assert answer.organization_id == organisation.id
    assert organisation.notified() == []


async def test_the_database_says_when_it_crossed(engine: ScenarioTriggerEngine, organisation: Organisation) -> None:
    user_id = organisation.mentor(quiet_days=30)
    answer = await engine.evaluate_inactivity_scenario(user_id, 21, now=NOW)
    assert answer.crossed_at == NOW - days(9)


async def test_without_a_clock_the_databases_own_is_asked(
    engine: ScenarioTriggerEngine, organisation: Organisation
) -> None:
    assert (await engine.evaluate_inactivity_scenario(organisation.mentor(quiet_days=22), 21)).matched


async def test_an_unknown_person_is_refused(engine: ScenarioTriggerEngine) -> None:
    with pytest.raises(Refused) as caught:
        await engine.evaluate_inactivity_scenario(uuid4(), 21)
    assert (caught.value.code, caught.value.http_status) == ("unknown_user", 404)


@pytest.mark.parametrize("threshold", [0, -1, 3651, 2_000_000_000])
async def test_a_nonsense_threshold_is_refused_with_the_range(
    engine: ScenarioTriggerEngine, organisation: Organisation, threshold: int
) -> None:
    with pytest.raises(Refused) as caught:
        await engine.evaluate_inactivity_scenario(organisation.mentor(), threshold)
    assert caught.value.code == "threshold_days_out_of_range"
    assert {"minimum", "maximum"} <= set(caught.value.details)  # type: ignore[call-overload]


async def test_a_milestone_is_reached_at_the_activity_that_reached_it(
    engine: ScenarioTriggerEngine, organisation: Organisation
) -> None:
    user_id = organisation.mentor()
    year = NOW.replace(month=1, day=1, hour=0, minute=0, second=0)
    at = [year + (NOW - year) * part for part in (0.2, 0.5, 0.8)]
    for time in reversed(at):
        organisation.activity(user_id, time)
    organisation.activity(user_id, year - days(1))
    reached = await engine.evaluate_milestone_scenario(user_id, "sessions", threshold=2, now=NOW)
    assert (reached.matched, reached.value, reached.crossed_at) == (True, 3, at[1])
    assert reached.period_start == year
    short = await engine.evaluate_milestone_scenario(user_id, "sessions", threshold=4, now=NOW)
    assert (short.matched, short.gate, short.value, short.crossed_at) == (False, "not_matched", 3, None)
    ever = await engine.evaluate_milestone_scenario(user_id, "hours", threshold=2, period="all_time", now=NOW)
    assert (ever.matched, ever.value, ever.crossed_at) == (True, 2.0, at[2])
    assert not (await engine.evaluate_milestone_scenario(user_id, "contacts", now=NOW)).matched
    assert organisation.notified() == []


async def test_a_certificate_matches_from_its_lead_until_it_expires(
    engine: ScenarioTriggerEngine, organisation: Organisation, database: Database
) -> None:
    user_id = organisation.mentor()
    expires_at = NOW + days(30)
    database.execute(
        "insert into public.certificates (organization_id, user_id, name, expires_at) values (%s, %s, 'First aid', %s)",
        (organisation.id, user_id, expires_at),
    )
    for later, matched in ((-0.01, False), (0, True), (29.99, True), (30, False)):
        answer = await engine.evaluate_certification_expiry_scenario(user_id, 30, now=NOW + days(later))
        assert (answer.matched, answer.certificates[0].matched) == (matched, matched)
    assert answer.certificates[0].expires_at == expires_at
    assert not (await engine.evaluate_certification_expiry_scenario(organisation.mentor(), 30)).certificates
    assert organisation.notified() == []


async def test_nonsense_about_milestones_and_leads_is_refused_with_what_is_allowed(
    engine: ScenarioTriggerEngine, organisation: Organisation
) -> None:
    user_id = organisation.mentor()
    calls: list[tuple[Any, str, dict[str, Any]]] = [
        (engine.evaluate_milestone_scenario(user_id, "cups"), "unknown_milestone_type", {"milestone_type": "cups"}),  # type: ignore[arg-type]
        (engine.evaluate_milestone_scenario(user_id, "hours", threshold=0), "threshold_out_of_range", {"minimum": 1}),
        (engine.evaluate_milestone_scenario(user_id, "hours", period="week"), "unknown_period", {"period": "week"}),  # type: ignore[arg-type]
        (engine.evaluate_certification_expiry_scenario(user_id, 366), "lead_days_out_of_range", {"maximum": 365}),
        (engine.evaluate_certification_expiry_scenario(user_id, 0), "lead_days_out_of_range", {"minimum": 1}),
        (engine.evaluate_certification_expiry_scenario(uuid4(), 30), "unknown_user", {}),
    ]
    for call, code, details in calls:
        with pytest.raises(Refused) as caught:
            await call
        assert caught.value.code == code
        assert details.items() <= caught.value.details.items()  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------- the claim


async def test_of_many_claims_at_once_one_is_sent(make_engine: Make, organisation: Organisation) -> None:
    user_id = organisation.mentor()
    engines = [make_engine() for _ in range(3)]
    claims = [engine.enqueue_notification(user_id, "inactivity", {"n": 1}, now=NOW) for engine in engines * 4]
    outcomes = [claim.outcome for claim in await asyncio.gather(*claims)]
    assert sorted(outcomes) == ["cooling_down"] * 11 + ["sent"]
    assert organisation.notified() == [user_id]


async def test_the_cooldown_ends(engine: ScenarioTriggerEngine, organisation: Organisation) -> None:
    user_id = organisation.mentor()
    outcomes: list[str] = []
    for later in (0, 13.99, 14, 20):
        claim = await engine.enqueue_notification(user_id, "inactivity", {}, now=NOW + days(later))
        outcomes.append(claim.outcome)
    assert outcomes == ["sent", "cooling_down", "sent", "cooling_down"]


async def test_what_is_passed_as_context_is_stored_with_it(
    engine: ScenarioTriggerEngine, organisation: Organisation, database: Database
) -> None:
    context = {"dager": 22, "tekst": "hei på deg", "liste": [1, None]}
    claim = await engine.enqueue_notification(organisation.mentor(), "inactivity", context)
    assert database.value("select context from public.notifications where id = %s", (claim.notification_id,)) == context


async def test_who_opted_out_is_not_told_and_an_inactive_person_neither(
    engine: ScenarioTriggerEngine, organisation: Organisation, database: Database
) -> None:
    silent, gone = organisation.mentor(), organisation.mentor(is_active=False)
    opt_out(database, organisation, silent)
    assert (await engine.enqueue_notification(silent, "inactivity", {})).outcome == "opted_out"
    assert (await engine.enqueue_notification(gone, "inactivity", {})).outcome == "person_inactive"
    assert organisation.notified() == []


async def test_should_notify_foretells_the_claim(
    engine: ScenarioTriggerEngine, organisation: Organisation, database: Database
) -> None:
    told, silent, gone = organisation.mentor(), organisation.mentor(), organisation.mentor(is_active=False)
    opt_out(database, organisation, silent, "inactivity")
    assert (await engine.should_notify(told, "inactivity", now=NOW)).allowed
    await engine.enqueue_notification(told, "inactivity", {}, now=NOW)
    for user_id, reason in [(told, "cooling_down"), (silent, "opted_out"), (gone, "person_inactive")]:
        advice = await engine.should_notify(user_id, "inactivity", now=NOW)
        claim = await engine.enqueue_notification(user_id, "inactivity", {}, now=NOW)
        assert (advice.allowed, advice.reason, claim.outcome) == (False, reason, reason)


async def test_recording_is_idempotent_never_moves_backwards_and_counts(
    engine: ScenarioTriggerEngine, organisation: Organisation
) -> None:
    user_id = organisation.mentor()
    for at in (NOW, NOW - days(5), NOW):
        assert (await engine.record_last_triggered(user_id, "inactivity", at=at)).last_triggered_at == NOW
    assert (await engine.should_notify(user_id, "inactivity", now=NOW)).until == NOW + days(14)


async def test_an_unknown_scenario_is_refused(engine: ScenarioTriggerEngine, organisation: Organisation) -> None:
    user_id = organisation.mentor()
    for call in (engine.should_notify, engine.record_last_triggered):
        with pytest.raises(Refused) as caught:
            await call(user_id, "tea")  # type: ignore[arg-type]
        assert caught.value.code == "unknown_scenario"


async def test_the_shared_modules_ask_the_same(api: Any, organisation: Organisation, database: Database) -> None:
    supabase = Supabase(api.settings())
    user_id = organisation.mentor()
    assert await Preferences(supabase).of(organisation.id, user_id) == []
    opt_out(database, organisation, user_id, "inactivity", "push")
    assert (await Cooldown(supabase).should_notify(user_id, "inactivity")).allowed
    opt_out(database, organisation, user_id)
    stored = {(p.scenario, p.channel, p.is_enabled) for p in await Preferences(supabase).of(organisation.id, user_id)}
    assert stored == {("inactivity", "push", False), ("all", "all", False)}
    assert (await Cooldown(supabase).should_notify(user_id, "inactivity")).reason == "opted_out"
    await supabase.aclose()


# ------------------------------------------------------------------------------------------- the run


async def test_a_run_tells_exactly_those_who_are_due(
    engine: ScenarioTriggerEngine, organisation: Organisation, database: Database
) -> None:
    quiet = organisation.mentor(quiet_days=22)
    organisation.mentor(quiet_days=20)
    organisation.mentor(quiet_days=40, away_from=NOW.date() - days(3), away_until=NOW.date() + days(3))
    organisation.mentor(quiet_days=40, is_active=False)
    opt_out(database, organisation, organisation.mentor(quiet_days=40))
    run = await engine.run_scheduled_evaluation(now=NOW)
    assert run.outcome == "finished"
    assert organisation.notified() == [quiet]
    assert run.run is not None
    assert run.run.people == 5
    # Of everybody only those who match are looked at, and so counted.
    assert run.run.counts == {"inactivity": {"sent": 1, "opted_out": 1}}


async def test_the_next_run_tells_nobody_twice(engine: ScenarioTriggerEngine, organisation: Organisation) -> None:
    organisation.mentors(50)
    for _ in range(2):
        await engine.run_scheduled_evaluation(now=NOW)
    assert len(organisation.notified()) == len(set(organisation.notified())) == 50


async def test_a_run_stops_at_its_budget_and_the_next_tick_goes_on(
    make_engine: Make, organisation: Organisation
) -> None:
    organisation.mentors(25)
    outcomes: list[str] = []
    for _ in range(10):
        # Another instance each time, as after a cold start.
        run = await make_engine(budget=0, chunk_size=10).run_scheduled_evaluation(now=NOW)
        outcomes.append(run.outcome)
        if run.outcome == "finished":
            break
    assert outcomes == ["in_progress", "in_progress", "finished"]
    assert len(organisation.notified()) == 25


async def test_shutdown_gives_the_lease_back(make_engine: Make, organisation: Organisation) -> None:
    organisation.mentors(25)
    run = await make_engine(chunk_size=5, stopping=True).run_scheduled_evaluation(now=NOW)
    assert (run.outcome, run.stopped_by, run.people_here) == ("in_progress", "shutdown", 5)
    assert (await make_engine().run_scheduled_evaluation(now=NOW)).outcome == "finished"
    assert len(set(organisation.notified())) == 25


async def test_cancellation_gives_the_lease_back(
    make_engine: Make, organisation: Organisation, database: Database
) -> None:
    organisation.mentors(400)
    task = asyncio.create_task(make_engine(chunk_size=1).run_scheduled_evaluation(now=NOW))
    await somebody_told(organisation)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert database.value("select state from private.runs") == "in_progress"
    assert (await make_engine().run_scheduled_evaluation(now=NOW)).outcome == "finished"
    assert len(organisation.notified()) == len(set(organisation.notified())) == 400


async def test_several_instances_at_once_share_one_run_and_nobody_is_told_twice(
    make_engine: Make, organisation: Organisation, database: Database
) -> None:
    organisation.mentors(300)
    runs = await asyncio.gather(*(make_engine(chunk_size=20).run_scheduled_evaluation(now=NOW) for _ in range(4)))
    assert {run.outcome for run in runs} <= {"finished", "in_progress"}
    assert "finished" in {run.outcome for run in runs}
    assert sum(run.people_here for run in runs) == 300
    assert sum(run.people_here > 0 for run in runs) > 1, "one did all the work"
    assert database.value("select count(*) from private.runs") == 1
    assert len(organisation.notified()) == len(set(organisation.notified())) == 300


async def test_a_run_whose_lease_was_taken_ends_quietly(
    make_engine: Make, organisation: Organisation, database: Database
) -> None:
    organisation.mentors(400)
    stalled = asyncio.create_task(make_engine(chunk_size=1).run_scheduled_evaluation(now=NOW))
    await somebody_told(organisation)
    # As after a stall longer than the lease: somebody else has those people by now. Nobody is found while one chunk
    # ends and the next begins.
    take = "update private.run_slices set holder = gen_random_uuid(), lease_until = now() where holder is not null"
    while database.execute(take).rowcount == 0:
        assert not stalled.done()
    assert (await stalled).outcome == "lease_lost"
    assert (await make_engine().run_scheduled_evaluation(now=NOW)).outcome == "finished"
    assert len(organisation.notified()) == len(set(organisation.notified())) == 400


# ------------------------------------------------------------------------------------------- events


async def test_a_bell_drains_what_was_marked(make_engine: Make, organisation: Organisation) -> None:
    quiet = [organisation.mentor(quiet_days=30) for _ in range(5)]
    organisation.mentor(quiet_days=3)
    organisation.settle()
    for user_id in quiet:
        organisation.activity(user_id, NOW - days(29))
    assert organisation.marks() == 5
    outcome = await make_engine(chunk_size=2).handle_database_event(BELL, now=NOW)
    assert (outcome.outcome, outcome.marks, outcome.more) == ("drained", 5, False)
    assert organisation.marks() == 0
    assert organisation.notified() == sorted(quiet)


async def test_an_activity_logged_before_the_bell_means_no_reminder(
    engine: ScenarioTriggerEngine, organisation: Organisation
) -> None:
    user_id = organisation.mentor(quiet_days=30)
    organisation.activity(user_id, NOW)
    await engine.handle_database_event(BELL, now=NOW)
    await engine.handle_database_event(EVALUATION, now=NOW)
    assert organisation.notified() == []


async def test_bells_and_runs_at_once_tell_everybody_once(make_engine: Make, organisation: Organisation) -> None:
    quiet = [organisation.mentor(quiet_days=30) for _ in range(40)]
    events = [BELL, EVALUATION, BELL, EVALUATION]
    await asyncio.gather(*(make_engine(chunk_size=5).handle_database_event(event, now=NOW) for event in events))
    assert organisation.notified() == sorted(quiet)


async def test_a_row_payload_evaluates_the_old_and_the_new_mentor(
    engine: ScenarioTriggerEngine, organisation: Organisation, database: Database
) -> None:
    old, new = organisation.mentor(quiet_days=30), organisation.mentor(quiet_days=31)
    row = {"organization_id": organisation.id, "id": uuid4(), "user_id": old}
    database.execute("delete from private.scenario_marks")
    outcome = await engine.handle_database_event(
        row_payload("UPDATE", "activities", row | {"user_id": new}, row), now=NOW
    )
    assert (outcome.outcome, outcome.people) == ("evaluated", 2)
    assert organisation.notified() == sorted([old, new])


async def test_a_contact_concerns_whose_activity_it_is(
    engine: ScenarioTriggerEngine, organisation: Organisation
) -> None:
    user_id = organisation.mentor()
    activity_id = organisation.activity(user_id, NOW - days(30))
    link = {"organization_id": organisation.id, "activity_id": activity_id, "contact_id": uuid4()}
    outcome = await engine.handle_database_event(row_payload("INSERT", "activity_contacts", link), now=NOW)
    assert outcome.people == 1
    assert organisation.notified() == [user_id]
    gone = row_payload("DELETE", "activity_contacts", None, link | {"activity_id": uuid4()})
    assert (await engine.handle_database_event(gone, now=NOW)).reason == "concerns_nobody"


async def test_a_row_of_another_organisation_reaches_nobody_here(
    engine: ScenarioTriggerEngine, organisation: Organisation
) -> None:
    user_id = organisation.mentor(quiet_days=30)
    row = {"organization_id": uuid4(), "user_id": user_id}
    await engine.handle_database_event(row_payload("INSERT", "activities", row), now=NOW)
    assert organisation.notified() == []


async def test_rows_of_people_preferences_and_certificates_evaluate_whom_they_concern(
    engine: ScenarioTriggerEngine, organisation: Organisation
) -> None:
    one, other, third = (organisation.mentor(quiet_days=30) for _ in range(3))
    row = {"organization_id": organisation.id, "id": uuid4()}
    for payload in (
        row_payload("INSERT", "users", row | {"id": one}),
        row_payload("INSERT", "notification_preferences", row | {"user_id": other}),
        row_payload("INSERT", "certificates", row | {"user_id": third}),
    ):
        outcome = await engine.handle_database_event(payload, now=NOW)
        assert (outcome.outcome, outcome.people) == ("evaluated", 1)
    assert organisation.notified() == sorted([one, other, third])


async def test_a_rule_that_is_new_tells_whom_it_concerns_when_its_row_arrives(
    engine: ScenarioTriggerEngine, organisation: Organisation, database: Database
) -> None:
    user_id = organisation.mentor(quiet_days=15)
    await engine.handle_database_event(BELL, now=NOW)
    assert organisation.notified() == []
    database.execute("update public.scenario_rules set threshold_days = 10 where id = %s", (organisation.rule_id,))
    row = {"organization_id": organisation.id, "id": organisation.rule_id}
    outcome = await engine.handle_database_event(row_payload("UPDATE", "scenario_rules", row, row), now=NOW)
    assert (outcome.outcome, outcome.counts) == ("drained", {"inactivity": {"sent": 1}})
    assert organisation.notified() == [user_id]


async def test_quiet_hours_and_a_full_day_are_outcomes(
    engine: ScenarioTriggerEngine, organisation: Organisation, database: Database
) -> None:
    for key, value in (("notification_daily_cap", "1"), ("quiet_hours", '{"from": "00:00", "to": "23:59"}')):
        database.execute(
            "insert into public.org_settings_kv (organization_id, key, value) values (%s, %s, %s)",
            (organisation.id, key, value),
        )
    user_id = organisation.mentor()
    noon = NOW.replace(hour=12, minute=0, second=0)
    claims = [
        await engine.enqueue_notification(user_id, "milestone", {}, subject=subject, now=noon) for subject in "ab"
    ]
    assert [claim.outcome for claim in claims] == ["quiet_hours", "capped"]
    assert claims[0].notification_id is not None
    assert claims[1].until == noon.replace(hour=0) + days(1)
    assert organisation.notified() == [user_id]
