"""`attend demo`, the whole of it, held against the oracle; and that it fails when the story is not true."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from attend.demo.desk import Desk, StoryFailed
from attend.demo.generator import generate
from attend.demo.model import Activity, DemoData
from attend.demo.report import DemoReport, Told
from attend.demo.story import Story
from attend.stack import Stack
from tests.support import oracle

pytestmark = pytest.mark.embedded

SEED = 20

type Key = tuple[UUID, UUID]


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


def gates(decisions: list[Any]) -> dict[Key, str]:
    return {(d.user_id, d.rule_id): d.gate for d in decisions}


def due(decisions: list[oracle.Decision]) -> dict[Key, oracle.Decision]:
    return {(d.user_id, d.rule_id): d for d in decisions if d.gate == "would_send"}


def assert_told(told: list[Told], decisions: list[oracle.Decision]) -> None:
    expected = due(decisions)
    assert {(t.user_id, t.rule_id) for t in told} == expected.keys()
    for one in told:
        decision = expected[one.user_id, one.rule_id]
        assert one.push == decision.push
        assert one.days_quiet == pytest.approx(decision.days_inactive)


def test_it_prints_one_json_document_and_nothing_else(finished: subprocess.CompletedProcess[str]) -> None:
    document = json.loads(finished.stdout)
    assert list(document) == list(DemoReport.model_fields)
    assert finished.stderr == ""


def test_it_is_told_in_under_thirty_seconds(report: DemoReport) -> None:
    assert report.seconds < 30


def test_names_and_gates_are_those_of_the_oracle(report: DemoReport, data: DemoData) -> None:
    assert gates(report.foreseen.decisions) == gates(oracle.decide(data, report.foreseen.at))

    evaluated = oracle.decide(data, report.evaluated.as_of)
    assert_told(report.evaluated.told, evaluated)
    assert gates(report.evaluated.decisions) == {
        key: "sent" if gate == "would_send" else gate for key, gate in gates(evaluated).items()
    }
    names = {person.id: person.full_name for person in data.people}
    assert all(names[d.user_id] == d.full_name for d in (*report.evaluated.decisions, *report.evaluated.told))


def test_everybody_later_is_told_and_reminded_as_the_oracle_says(report: DemoReport, data: DemoData) -> None:
    as_of = report.evaluated.as_of
    told = oracle.tell(oracle.decide(data, as_of), as_of)

    data = after_the_hook(report, data)
    at = report.corrected.told.triggered_at
    mentor = report.corrected.from_user_id
    corrected = [d for d in oracle.decide(data, at, told) if d.user_id == mentor]
    assert_told([report.corrected.told], corrected)
    told = oracle.tell(corrected, at, told)

    again = oracle.decide(data, report.repeated.as_of, told)
    assert report.repeated.told == len(due(again))
    told = oracle.tell(again, report.repeated.as_of, told)

    for week in report.later:
        decisions = oracle.decide(data, week.at, told)
        assert_told([*week.told_first, *week.reminded], decisions)
        assert {(t.user_id, t.rule_id) for t in week.reminded} == due(decisions).keys() & told.keys()
        told = oracle.tell(decisions, week.at, told)
    assert [week.days for week in report.later] == [7, 14, 21]


def after_the_hook(report: DemoReport, data: DemoData) -> DemoData:
    """The organisation after the two changes that people make in the story."""
    moved = next(a for a in data.activities if a.id == report.corrected.activity_id)
    assert moved.user_id == report.corrected.from_user_id
    fields = {field: getattr(moved, field) for field in Activity.__dataclass_fields__}
    logged = fields | {
        "id": report.logged.activity_id,
        "user_id": report.logged.user_id,
        "occurred_at": report.logged.occurred_at,
    }
    fields["user_id"] = report.corrected.to_user_id
    return oracle.with_activities(data, {moved.id: Activity(**fields)}, [Activity(**logged)])


def test_who_logged_an_activity_is_not_reminded_when_the_cooldown_has_passed(report: DemoReport) -> None:
    reminded = [t.user_id for week in report.later if week.days <= 14 for t in (*week.told_first, *week.reminded)]
    assert reminded
    assert report.logged.user_id not in reminded


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
            "insert into public.notifications"
            " (organization_id, user_id, scenario, subject, triggered_at, context, rule_id)"
            " select u.organization_id, u.id, 'inactivity', 'by hand', now(), jsonb_build_object('anchor_at', now()),"
            " %s from public.users u where u.id = %s",
            (data.rules[0].id, data.people[-1].id),
        )
        with pytest.raises(StoryFailed, match="dry run told somebody"):
            story.foreseen()
