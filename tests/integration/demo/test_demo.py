"""`attend demo`, the whole of it, held against the oracle; and that it fails when the story is not true."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import sql
from rich.console import Console

from attend.demo import loading
from attend.demo.care import Care
from attend.demo.desk import Desk, StoryFailed
from attend.demo.generator import generate
from attend.demo.model import Activity, DemoData
from attend.demo.report import Case, DemoReport, Told
from attend.demo.show import Screen
from attend.demo.story import Story
from attend.stack import Stack
from tests.support.care_oracle import CareOracle
from tests.support.oracle import Key, Oracle, gates

pytestmark = pytest.mark.embedded

SEED = 20


@pytest.fixture(scope="module")
def finished() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attend.cli", "demo", "--json", "--seed", str(SEED)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


@pytest.fixture(scope="module")
def report(finished: subprocess.CompletedProcess[str]) -> DemoReport:
    assert finished.returncode == 0, finished.stderr
    return DemoReport.model_validate_json(finished.stdout)


@pytest.fixture(scope="module")
def data(report: DemoReport) -> DemoData:
    """The same people, made again from what the report says."""
    return generate(report.seed, report.now)


def test_it_prints_one_json_document_and_nothing_else(finished: subprocess.CompletedProcess[str]) -> None:
    document = json.loads(finished.stdout)
    assert list(document) == list(DemoReport.model_fields)
    assert finished.stderr == ""


def test_it_is_told_in_under_thirty_seconds(report: DemoReport) -> None:
    assert report.seconds < 30


def told_at(oracle: Oracle, told: list[Told]) -> dict[Key, tuple[Any, ...]]:
    """Evaluates everybody at each instant somebody was told; what the oracle would have told them."""
    expected: dict[Key, tuple[Any, ...]] = {}
    for at in sorted({one.triggered_at for one in told}):
        oracle.evaluate(at)
        expected |= {key: (at, t.crossed_at, t.release_on) for key, t in oracle.told(at).items()}
    return expected


def assert_told(oracle: Oracle, told: list[Told]) -> None:
    found = {(t.user_id, t.subject): (t.triggered_at, t.crossed_at, t.release_on) for t in told}
    assert len(found) == len(told)
    assert found == told_at(oracle, told)


def test_everybody_is_told_what_the_oracle_says_and_nobody_else(report: DemoReport, data: DemoData) -> None:
    oracle = Oracle(data)
    names = {person.id: person.full_name for person in data.people}

    for rule in report.foreseen.rules:
        oracle.switch_on(UUID(rule["organization_id"]), rule)
    foreseen = report.foreseen
    assert {(d.user_id, d.subject): d.gate for d in foreseen.decisions} == gates(oracle.dry_run(foreseen.at))
    assert all(names[d.user_id] == d.full_name for d in (*foreseen.decisions, *foreseen.told))
    assert len(foreseen.told) > 30
    assert_told(oracle, foreseen.told)

    for chapter in (report.milestones, report.certificates):
        (rule,) = chapter.rules
        oracle.switch_on(UUID(rule["organization_id"]), rule)
        assert chapter.told
        assert_told(oracle, chapter.told)
        assert chapter.preview.activations["all"] == len(chapter.told)

    what_people_do(oracle, report, data)

    delivered = report.delivered[0]
    assert delivered.activity is not None
    assert delivered.preference is not None
    oracle.log(as_activity(delivered.activity))
    off = delivered.preference
    oracle.switch_off(UUID(off["user_id"]), off["scenario"], off["channel"])
    assert all(swept.missed_by_ticks == 0 for swept in report.swept)
    assert_told(oracle, report.swept[0].told)
    limits = report.limited
    quiet = (time.fromisoformat(limits.quiet_from), time.fromisoformat(limits.quiet_to))
    oracle.limit(data.organization.id, limits.daily_cap, quiet)
    for week in report.later:
        answers = gates(oracle.evaluate(week.at))
        found = {
            (t.user_id, t.subject): (t.crossed_at, t.release_on, t.push) for t in (*week.told_first, *week.reminded)
        }
        assert found == {key: (t.crossed_at, t.release_on, t.push) for key, t in oracle.told(week.at).items()}
        capped = {user_id for (user_id, _), gate in answers.items() if gate == "capped"}
        assert {c.user_id for c in week.capped} == capped
        assert all(t.push in ("deferred", None) for t in week.told_first) == (week is report.later[-1])
    assert [swept.told for swept in report.swept[1:]] == [[]]


def what_people_do(oracle: Oracle, report: DemoReport, data: DemoData) -> None:
    """The oracle hears of the four events of the story, and must come to what happened."""
    milestone, renewal, call, correction = report.happened.events
    oracle.log(as_activity(milestone.rows[0]))
    assert_told(oracle, milestone.told)

    old = next(c for c in data.certificates if str(c.id) == renewal.rows[1]["id"])
    new = renewal.rows[0]
    oracle.certify(old.user_id, old.id, old.expires_at, is_valid=False)
    oracle.certify(old.user_id, UUID(new["id"]), datetime.fromisoformat(new["expires_at"]))
    oracle.log(as_activity(call.rows[0]))

    moved = next(a for a in data.activities if str(a.id) == correction.rows[0]["id"])
    oracle.take_away(moved)
    oracle.log(replace(moved, user_id=UUID(correction.rows[0]["user_id"])))
    assert_told(oracle, correction.told)
    everything = (*report.foreseen.told, *report.milestones.told, *report.certificates.told)
    known = {t.id: (t.user_id, t.subject) for t in everything}
    assert oracle.retracted() == {known[id_] for event in report.happened.events for id_ in event.retracted}


def as_activity(row: dict[str, Any]) -> Activity:
    times = {column: datetime.fromisoformat(row[column]) for column in ("occurred_at", "recorded_at")}
    ids = {column: UUID(row[column]) for column in ("organization_id", "id", "user_id")}
    others = {c: row[c] for c in ("activity_type_id", "duration_minutes", "status", "approval")}
    return Activity(**ids, **times, **others)


def test_the_gates_after_the_tick_are_those_foreseen_and_sent(report: DemoReport) -> None:
    before = {(d.user_id, d.subject): d.gate for d in report.foreseen.decisions}
    after = {(d.user_id, d.subject): d.gate for d in report.foreseen.afterwards}
    assert after == {key: "sent" if gate == "would_send" else gate for key, gate in before.items()}


def test_limits_and_reminders_show(report: DemoReport) -> None:
    first, _, evening = report.later
    assert any(c.told_instead == "certification_expiry" for c in first.capped)
    assert first.reminded
    assert evening.held["enough_reminders"] > 0
    assert report.limited.refused == 400


def test_what_waits_reaches_the_phones_unless_something_speaks_against_it(report: DemoReport, data: DemoData) -> None:
    today, morning = report.delivered
    assert sum(today.became.values()) == today.due
    assert set(today.became) == {"sent", "skipped no_device", "skipped read", "skipped condition_gone"}
    assert [today.became[f"skipped {reason}"] for reason in ("read", "condition_gone")] == [1, 1]
    # Two events of the story took theirs back, and so did who switched pushes off.
    assert today.taken_back == sum(len(event.retracted) for event in report.happened.events) + 1
    chapters = (report.foreseen, report.milestones, report.certificates, *report.happened.events)
    assert today.due == sum(pushes(report, chapter.told) for chapter in chapters) - today.taken_back
    with_phone = [person for place, person in enumerate(data.people) if place % 10]
    assert today.phones == sum(person.organization_id == report.organization_id for person in with_phone) - 1

    # The mornings' are too old by now, but for what no longer held; the evening's were kept for this morning.
    mornings = sum(pushes(report, [*week.told_first, *week.reminded]) for week in report.later[:2])
    assert sum(morning.became.values()) == morning.due
    assert morning.became["skipped stale"] == mornings - (morning.taken_back - today.taken_back)
    assert morning.at == report.later[-1].at + timedelta(hours=9, minutes=30)
    kinds = {(push.state, push.skipped_reason) for push in morning.rows}
    assert {("sent", None), ("skipped", "read"), ("skipped", "stale"), ("retracted", None)} <= kinds


def pushes(report: DemoReport, told: list[Told]) -> int:
    """How many of the demo's own people were told on the phone, too."""
    return sum(t.organization_id == report.organization_id and t.push is not None for t in told)


def test_everybody_of_the_church_is_asked_after_as_the_oracle_says_and_nobody_else(report: DemoReport) -> None:
    church = report.cared
    oracle = CareOracle(church.people, church.families)
    names = {UUID(person["id"]): person["full_name"] for person in church.people}
    told: dict[UUID, tuple[str, UUID]] = {}
    visited: Case | None = None
    for number, step in enumerate(church.steps):
        oracle.write(step.records)
        if number == 1:
            (given,) = (case for case in step.cases if oracle.people[case.person_id].servant is None)
            oracle.people[given.person_id].servant = given.assigned_servant_id
        if number == 2:
            (visited,) = (case for case in step.cases if case.status == "in_progress")
            oracle.people[visited.person_id].status = "in_progress"
        if number == 3:
            (closed,) = (case for case in step.cases if case.status == "closed")
            assert visited is not None
            assert (closed.person_id, oracle.people[closed.person_id].status) == (visited.person_id, "returned")
            oracle.people[closed.person_id].status = "closed"
        assert {c.person_id: (c.status, c.assigned_servant_id) for c in step.cases} == oracle.cases()
        assert len(step.cases) == len({case.person_id for case in step.cases})
        assert all(case.full_name == names[case.person_id] for case in step.cases)
        for servant in church.servants:
            assert set(step.listed[servant]) == oracle.listed(servant)
        told |= {news.id: (news.servant, news.person_id) for news in step.told}
        for taken in step.taken_back:
            del told[taken]
        # Who was told, and still sees it, is who is on the list: once each.
        assert sorted(told.values()) == sorted(
            (church.servants[servant], person) for servant in church.servants for person in step.listed[servant]
        )
    found = {UUID(p["id"]): (p["consecutive_absences"], p["at_risk_flag"]) for p in church.people}
    assert found == oracle.flags()
    assert [len(step.records) for step in church.steps] == [3 * len(names), 0, 0, len(names), 1]


def test_the_churchs_story_is_the_whole_of_it(report: DemoReport) -> None:
    missed, _, _, _, corrected = report.cared.steps
    assert {(case.status, case.absences) for case in missed.cases} == {("open", 3)}
    assert sorted((case.status, case.withdrawn_reason) for case in corrected.cases) == [
        ("closed", None),
        ("open", None),
        ("open", None),
        ("withdrawn", "attendance_corrected"),
    ]
    assert {(refused.what, refused.status): refused.code for refused in report.cared.refused} == {
        ("a service of next year", 400): "23514",
        ("a second record of a service", 409): "23505",
        ("a record of another organisation's person", 409): "23503",
        ("a threshold of zero", 400): "23514",
    }
    # Four beginnings; given away, visited, returned, closed, withdrawn.
    assert report.cared.trail == 9


def test_wrong_numbers_are_refused_with_the_right_ones(report: DemoReport) -> None:
    refused, preview = report.foreseen.refused, report.foreseen.preview
    assert refused.code == "counts_have_drifted"
    assert refused.details["now"]["added"] == preview.matching == refused.details["acknowledged"]["added"] - 1


def test_what_is_shown_fits_a_terminal_of_a_hundred_columns(report: DemoReport, data: DemoData) -> None:
    def shown(*names: str) -> list[str]:
        file = io.StringIO()
        screen = Screen(data, Console(file=file, highlight=False))
        for name in names:
            part = getattr(report, name)
            for chapter in part if isinstance(part, list) else [part]:
                if hasattr(chapter, "chapter"):
                    screen.show(chapter)
        if "started" in names:
            screen.end(report.seconds)
        return file.getvalue().splitlines()

    programme, church = shown(*(DemoReport.model_fields.keys() - {"cared"})), shown("cared")
    assert max(map(len, [*programme, *church])) <= 100
    assert len(programme) <= 115
    assert len(church) <= 20
    assert all(line == line.rstrip() for line in [*programme, *church])


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(cron=False) as stack:
        yield stack


def test_it_fails_when_the_bell_is_lost_instead_of_claiming_that_the_hook_worked(stack: Stack) -> None:
    stack.drop_bells(True)
    data = generate(1, datetime.now(UTC))
    with Desk(stack, data, patience=1.5) as desk, pytest.raises(StoryFailed, match="hook's work"):
        list(Story(desk, 0.0).chapters())
    stack.drop_bells(False)


def test_it_fails_when_somebody_was_told_by_nobody_it_knows(stack: Stack) -> None:
    data = generate(2, datetime.now(UTC))
    with Desk(stack, data) as desk:
        story = Story(desk, 0.0)
        story.imported()
        desk.connection.execute(
            "insert into public.notifications (organization_id, user_id, scenario, subject, rule_id, triggered_at,"
            " crossed_at, release_on) select u.organization_id, u.id, 'inactivity', 'by hand', gen_random_uuid(),"
            " now(), now(), current_date from public.users u where u.id = %s",
            (data.people[-1].id,),
        )
        with pytest.raises(StoryFailed, match="the hook needed no bell"):
            story.foreseen()


def test_it_fails_when_nobody_answers_the_churchs_bell(stack: Stack) -> None:
    stack.drop_bells(True)
    data = generate(3, datetime.now(UTC))
    with Desk(stack, data, patience=1.5) as desk:
        loading.load(desk.connection, data)
        with pytest.raises(StoryFailed, match="pastoral-cases' work"):
            Care(desk).tell()
    stack.drop_bells(False)


def test_it_fails_when_a_case_is_somebody_elses_to_read(stack: Stack) -> None:
    data = generate(4, datetime.now(UTC))
    with Desk(stack, data) as desk:
        loading.load(desk.connection, data)
        desk.connection.execute(
            sql.SQL(
                'create policy "everybody reads cases" on public.pastoral_cases for select to authenticated'
                " using (organization_id = {})"
            ).format(str(data.church.organization.id))
        )
        with pytest.raises(StoryFailed, match="another organisation sees 4 cases"):
            Care(desk).tell()
        desk.connection.execute('drop policy "everybody reads cases" on public.pastoral_cases')
