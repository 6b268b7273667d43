"""The recomputation against the real SQL: what is marked becomes right, and runs find what no mark announced."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from functions.statistics_recompute.engine import StatisticsRecompute
from functions.statistics_recompute.payload import parse_event
from tests.support.database import Database
from tests.support.team import Team

BELL = parse_event(b'{"type":"BELL","schema":"public","table":"activities","bell_id":"b"}')
REBUILD = parse_event(b'{"type":"SCHEDULE","schedule":"statistics-rebuild"}')
RECONCILE = parse_event(b'{"type":"SCHEDULE","schedule":"statistics-reconcile"}')

type Make = Callable[..., StatisticsRecompute]


# ------------------------------------------------------------------------------------------- bells


async def test_a_bell_makes_every_period_right(recompute: StatisticsRecompute, team: Team) -> None:
    mentor = team.mentor()
    for days_ago in (0, 0, 1, 2, 40, 400):
        team.activity(mentor, days_ago)
    team.activity(mentor, 3, status="cancelled")
    outcome = await recompute.handle_database_event(BELL)
    assert (outcome.outcome, outcome.people, outcome.more) == ("drained", 1, False)
    assert team.wrong() == []
    assert (team.total(mentor), team.row(mentor)["streak_days"], team.marks()) == (6, 3, 0)


async def test_a_change_moved_or_undone_makes_both_sides_right(
    recompute: StatisticsRecompute, team: Team, database: Database
) -> None:
    one, other = team.mentor(), team.mentor()
    moved, deleted = team.activity(one, 1), team.activity(one, 1)
    await recompute.handle_database_event(BELL)
    database.execute("update public.activities set user_id = %s where id = %s", (other, moved))
    database.execute("delete from public.activities where id = %s", (deleted,))
    await recompute.handle_database_event(BELL)
    assert (team.total(one), team.total(other), team.wrong()) == (0, 1, [])


async def test_a_row_payload_drains_what_its_writer_marked(recompute: StatisticsRecompute, team: Team) -> None:
    mentor = team.mentor()
    team.activity(mentor)
    payload = {"type": "INSERT", "schema": "public", "table": "activities", "record": {}, "old_record": None}
    outcome = await recompute.handle_database_event(parse_event(json.dumps(payload).encode()))
    assert (outcome.outcome, outcome.marks, team.total(mentor)) == ("drained", 1, 1)


async def test_contacts_count_once_however_often_they_are_met(
    recompute: StatisticsRecompute, team: Team, database: Database
) -> None:
    mentor = team.mentor()
    contact = database.value("insert into public.contacts (organization_id) values (%s) returning id", (team.id,))
    for days_ago in (0, 1):
        link = (team.id, team.activity(mentor, days_ago), contact)
        database.execute(
            "insert into public.activity_contacts (organization_id, activity_id, contact_id) values (%s, %s, %s)", link
        )
    await recompute.handle_database_event(BELL)
    assert team.row(mentor)["unique_contacts_reached"] == 1


async def test_a_drain_stops_at_its_budget_and_the_next_goes_on(make_recompute: Make, team: Team) -> None:
    team.mentors(10)
    outcomes: list[Any] = []
    while not outcomes or outcomes[-1].more:
        outcomes.append(await make_recompute(budget=0, marks=4).handle_database_event(BELL))
        assert len(outcomes) < 20
    assert [o.stopped_by for o in outcomes[:-1]] == ["time_budget"] * (len(outcomes) - 1)
    assert len(outcomes) > 5
    assert (sum(o.marks for o in outcomes), team.marks(), team.wrong()) == (30, 0, [])


async def test_many_instances_at_once_recompute_each_mark_once(make_recompute: Make, team: Team) -> None:
    people = team.mentors(60)
    team.mentors(1)
    instances = [make_recompute(marks=7) for _ in range(4)]
    outcomes = await asyncio.gather(*(instance.handle_database_event(BELL) for instance in instances))
    assert sum(outcome.marks or 0 for outcome in outcomes) == 3 * (len(people) + 1)
    assert (team.marks(), team.wrong()) == (0, [])


async def test_of_a_person_who_is_gone_no_mark_stops_the_drain(
    recompute: StatisticsRecompute, team: Team, database: Database
) -> None:
    gone, stays = team.mentors(2)
    database.execute("delete from public.users where id = %s", (gone,))
    outcome = await recompute.handle_database_event(BELL)
    assert (outcome.more, team.marks(), team.total(stays)) == (False, 0, 3)


# ------------------------------------------------------------------------------------------- runs


async def test_a_rebuild_makes_everything_right_that_no_mark_announced(
    recompute: StatisticsRecompute, team: Team
) -> None:
    team.mentors(5)
    team.forget_marks()
    assert team.totals() == 0
    outcome = await recompute.handle_database_event(REBUILD)
    assert (outcome.outcome, team.wrong(), team.totals()) == ("finished", [], 15)
    assert outcome.run is not None
    assert (outcome.run.people, outcome.run.kind) == (5, "statistics-rebuild")


async def test_a_rebuild_stops_at_its_budget_and_the_next_call_goes_on(
    make_recompute: Make, team: Team, database: Database
) -> None:
    team.mentors(8)
    team.forget_marks()
    outcomes: list[str] = []
    while "finished" not in outcomes:
        # Another instance each time, as after a cold start.
        outcomes.append((await make_recompute(budget=0, people=3).handle_database_event(REBUILD)).outcome)
        assert len(outcomes) < 10
    assert outcomes == ["in_progress", "in_progress", "finished"]
    assert team.wrong() == []
    assert database.value("select chunks from private.runs") == 3


async def test_a_reconcile_repairs_drift_and_says_whose_it_was_in_the_ledger(
    recompute: StatisticsRecompute, team: Team, database: Database
) -> None:
    people = team.mentors(6)
    await recompute.handle_database_event(BELL)
    broken = people[2]
    team.break_rows(broken)
    assert team.wrong() == [broken]
    outcome = await recompute.handle_database_event(RECONCILE)
    assert team.wrong() == []
    assert outcome.run is not None
    assert outcome.run.counts == {"statistics": {"people_with_drift": 1, "rows_repaired": 2}}
    assert team.drift() == {broken: 2}
    result = database.value("select last_result from private.schedules where name = 'statistics-reconcile'")
    assert result["counts"] == outcome.run.counts


async def test_a_reconcile_finds_rows_that_are_missing_and_rows_that_should_not_be(
    recompute: StatisticsRecompute, team: Team, database: Database
) -> None:
    lacks, has_too_much = team.mentors(2)
    await recompute.handle_database_event(BELL)
    database.execute(
        "delete from public.activity_statistics where user_id = %s and period_type in ('year', 'day')", (lacks,)
    )
    database.execute(
        "insert into public.activity_statistics"
        " (organization_id, user_id, period_type, period_start, period_end, total_activities)"
        " values (%s, %s, 'day', '2020-02-29T00:00Z', '2020-03-01T00:00Z', 4)",
        (team.id, has_too_much),
    )
    await recompute.handle_database_event(RECONCILE)
    assert (team.wrong(), set(team.drift())) == ([], {lacks, has_too_much})


async def test_where_nothing_is_wrong_a_reconcile_writes_nothing_and_waiting_marks_are_no_drift(
    recompute: StatisticsRecompute, team: Team, database: Database
) -> None:
    people = team.mentors(4)
    await recompute.handle_database_event(BELL)
    before = database.rows("select user_id, max(computed_at) from public.activity_statistics group by 1 order by 1")
    assert (await recompute.handle_database_event(RECONCILE)).outcome == "finished"
    after = database.rows("select user_id, max(computed_at) from public.activity_statistics group by 1 order by 1")
    assert (before, team.drift()) == (after, {})
    team.activity(people[0])
    outcome = await recompute.handle_database_event(RECONCILE)
    assert (team.drift(), team.marks(), team.wrong()) == ({}, 0, [])
    assert outcome.run is not None
    assert outcome.run.counts["statistics"]["people_with_drift"] == 0


async def test_several_rebuilds_at_once_share_one_run(make_recompute: Make, team: Team, database: Database) -> None:
    team.mentors(60)
    team.forget_marks()
    instances = [make_recompute(people=5) for _ in range(3)]
    outcomes = await asyncio.gather(*(instance.handle_database_event(REBUILD) for instance in instances))
    assert {outcome.outcome for outcome in outcomes} <= {"finished", "in_progress"}
    assert database.rows("select people, chunks, state from private.runs") == [
        {"people": 60, "chunks": 12, "state": "finished"}
    ]
    assert (team.wrong(), team.totals()) == ([], 180)


async def test_a_rebuild_of_which_another_has_all_in_hand_is_busy(
    make_recompute: Make, team: Team, database: Database
) -> None:
    team.mentors(6)
    database.execute("select public.start_run('statistics-rebuild', gen_random_uuid())")
    assert (await make_recompute().handle_database_event(REBUILD)).outcome == "busy"
    assert team.totals() == 0


async def test_bells_rebuild_and_reconcile_at_once_end_right(make_recompute: Make, team: Team) -> None:
    people = team.mentors(40)
    instances = [make_recompute(marks=9, people=6) for _ in range(6)]
    events = [BELL, REBUILD, RECONCILE, BELL, BELL, REBUILD]

    async def write() -> None:
        for person in people:
            await asyncio.to_thread(team.activity, person)

    work = (instance.handle_database_event(event) for instance, event in zip(instances, events, strict=True))
    await asyncio.gather(write(), *work)
    await make_recompute().handle_database_event(BELL)
    assert (team.marks(), team.wrong(), team.totals()) == (0, [], 160)


async def test_shutdown_in_the_middle_of_a_rebuild_gives_the_lease_back(make_recompute: Make, team: Team) -> None:
    team.mentors(9)
    outcome = await make_recompute(people=2, stopping=True).handle_database_event(REBUILD)
    assert (outcome.outcome, outcome.stopped_by) == ("in_progress", "shutdown")
    assert (await make_recompute().handle_database_event(REBUILD)).outcome == "finished"
    assert team.wrong() == []
