"""docs/panel.md does what it says: its own code, run by a manager."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from supabase import Client
from tests.integration.engagement_panel.conftest import Api
from tests.support.database import Database
from tests.support.school import School
from tests.support.served import ROOT

# The token of a real project is its auth service's to make.
pytestmark = pytest.mark.embedded
TEXT = (ROOT / "docs" / "panel.md").read_text()


@pytest.fixture(scope="module")
def example() -> SimpleNamespace:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return SimpleNamespace(**names)


type SignIn = Callable[[School], Client]


@pytest.fixture
def sign_in(monkeypatch: pytest.MonkeyPatch, api: Api, example: SimpleNamespace) -> SignIn:
    monkeypatch.setenv("SUPABASE_URL", api.url)
    monkeypatch.setenv("SUPABASE_PUBLISHABLE_KEY", api.keys.publishable)
    return lambda school: example.connect(api.token(school.manager))


def test_at_risk_are_those_a_week_away_the_longest_first(
    example: SimpleNamespace, sign_in: SignIn, school: School
) -> None:
    for student, days in enumerate((8, 6.9, 200, 7.1), start=1):
        school.student(student)
        school.came(student, days)
    school.student(5)
    assert [row["student_id"] for row in example.at_risk(sign_in(school))] == [3, 1, 4]
    for student in range(10, 70):
        school.student(student)
        school.came(student, 20)
    assert len(example.at_risk(sign_in(school))) == 50


def test_high_engagement_marks_who_may_be_an_ambassador(
    example: SimpleNamespace, sign_in: SignIn, school: School
) -> None:
    school.setting("panel_session_target", 10)
    for student, visits in ((1, 10), (2, 7), (3, 5), (4, 4), (5, 10)):
        school.student(student)
        school.came(student, *(0.1 + 2 * n for n in range(visits)))
    school.database.execute("update public.students set is_active = false where student_id = 5")
    found = example.high_engagement(sign_in(school))
    assert [(row["student_id"], row["badge"]) for row in found] == [(1, "Embajador potencial"), (2, None)]
    assert found[0]["consistency_score"] >= example.AMBASSADOR_SCORE > found[1]["consistency_score"] >= 60


def test_minutes_are_summed_by_weekday(example: SimpleNamespace, sign_in: SignIn, school: School) -> None:
    school.student(1)
    school.came(1, *(0.5 + n for n in range(14)), minutes=30)
    assert example.minutes_by_weekday(sign_in(school)) == dict.fromkeys(range(1, 8), 60)


def test_all_50_001_students_arrive(
    example: SimpleNamespace, sign_in: SignIn, school: School, database: Database
) -> None:
    database.execute(
        "insert into public.students (organization_id, student_id, full_name)"
        " select %s, n, 'Student ' || n from generate_series(1, 50001) n",
        (school.id,),
    )
    client = sign_in(school)
    assert len(client.table("engagement_inactive_roster_v").select("student_id").execute().data) == 1_000
    numbers = [row["student_id"] for row in example.all_rows(client, "engagement_inactive_roster_v")]
    assert numbers == list(range(1, 50_002))


def test_whoever_stays_arrives_once_while_others_come_and_go(
    example: SimpleNamespace, sign_in: SignIn, school: School, database: Database
) -> None:
    database.execute(
        "insert into public.students (organization_id, student_id, full_name)"
        " select %s, n, 'S' from generate_series(2, 5000, 2) n",
        (school.id,),
    )
    numbers: list[int] = []
    for row in example.all_rows(sign_in(school), "engagement_student_activity_v"):
        if len(numbers) % 500 == 0:
            # Everybody's place in the view's own order changes.
            school.came(2 + 2 * (len(numbers) % 1_200), 0.01)
            school.student(4_999 - len(numbers), full_name="New")
            database.execute("delete from public.students where student_id = %s", (4_000 + len(numbers),))
        numbers.append(row["student_id"])
    assert len(set(numbers)) == len(numbers)
    stayed = set(range(2, 5_001, 2)) - {4_000 + 500 * n for n in range(10)}
    assert stayed <= set(numbers)


def test_every_view_and_setting_is_described(database: Database) -> None:
    views = database.rows("select viewname from pg_views where schemaname = 'mgmt'")
    assert [row["viewname"] for row in views if f"`{row['viewname']}`" not in TEXT] == []
    source = database.value("select prosrc from pg_proc where oid = 'private.panel_settings'::regproc")
    assert [key for key in set(re.findall(r"'((?:panel|learning)_\w+)'", source)) if f"`{key}`" not in TEXT] == []
