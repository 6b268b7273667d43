"""`attend demo`, the whole of it, held against the oracle; and that it fails when the story is not true."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from attend.demo.desk import Desk, StoryFailed
from attend.demo.generator import generate
from attend.demo.model import Activity, DemoData
from attend.demo.report import DemoReport, Told
from attend.demo.show import Screen
from attend.demo.story import Story
from attend.stack import Stack
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


def test_wrong_numbers_are_refused_with_the_right_ones(report: DemoReport) -> None:
    refused, preview = report.foreseen.refused, report.foreseen.preview
    assert refused.code == "counts_have_drifted"
    assert refused.details["now"]["added"] == preview.matching == refused.details["acknowledged"]["added"] - 1


def test_what_is_shown_fits_a_terminal_of_a_hundred_columns(report: DemoReport, data: DemoData) -> None:
    file = io.StringIO()
    screen = Screen(data, Console(file=file, highlight=False))
    for name in DemoReport.model_fields:
        part = getattr(report, name)
        for chapter in part if isinstance(part, list) else [part]:
            if hasattr(chapter, "chapter"):
                screen.show(chapter)
    screen.end(report.seconds)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 95
    assert all(line == line.rstrip() for line in lines)


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
