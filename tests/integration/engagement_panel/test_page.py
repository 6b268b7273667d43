"""The page's requests as the API answers them: for a manager, for everybody else, and for notes."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.integration.engagement_panel.conftest import Api
from tests.support.gateway import refused
from tests.support.school import School

# The token of a real project is its auth service's to make.
pytestmark = pytest.mark.embedded
ASSETS = Path(__file__).parents[3] / "functions" / "engagement_panel" / "assets"
_ACTIVITY = "student_id,full_name,level,sessions_30d,avg_days_between_visits,days_since_last_checkin,consistency_score"
_DUAL = "student_id,full_name,level,engagement_issue,learning_issue,days_since_last_checkin"
_RETURNS = "student_id,full_name,level,days_inactive_before_return,return_date"
_ROSTER = "student_id,full_name,level,last_checkin_time,days_since_last_checkin,inactivity_bucket"
_NOTES = "id,kind,body,created_at,author_name,is_own"
type Parameter = tuple[str, str | int | float | bool | None]
# What the page asks for, and how many rows `populated` has for it.
REQUESTS: list[tuple[str, list[Parameter], int]] = [
    ("panel_reader", [], 1),
    ("panel_figures", [], 4),
    (
        "engagement_student_activity_v",
        [("select", _ACTIVITY), ("limit", "50"), *(("days_since_last_checkin", one) for one in ("gte.7", "lt.14"))],
        1,
    ),
    (
        "engagement_student_activity_v",
        [("select", _ACTIVITY), ("limit", "50"), ("days_since_last_checkin", "gte.30"), ("level", 'eq.A, (1)."b"')],
        1,
    ),
    (
        "engagement_student_activity_v",
        [("select", _ACTIVITY), ("limit", "50"), ("days_since_last_checkin", "gte.30"), ("level", "is.null")],
        0,
    ),
    (
        "engagement_student_activity_v",
        [
            *(("select", _ACTIVITY), ("limit", "50"), ("sessions_30d", "gte.5"), ("consistency_score", "gte.60")),
            ("order", "consistency_score.desc,student_id"),
        ],
        1,
    ),
    ("engagement_dual_risk_students_v", [("select", _DUAL), ("limit", "50")], 1),
    ("panel_returns", [("select", _RETURNS), ("limit", "50")], 1),
    ("engagement_session_frequency_30d_v", [("select", "bin_label,student_count")], 9),
    ("engagement_dau_90d_v", [("select", "d,total_minutes")], 90),
    ("engagement_daypart_retention_v", [("select", "daypart,return_rate")], 3),
    ("panel_followups", [("student_id", "in.(1,2,3)")], 1),
    ("panel_notes", [("student_id", "eq.1"), ("select", _NOTES)], 1),
    (
        "engagement_inactive_roster_v",
        [("student_id", "gt.1"), ("select", _ROSTER), ("order", "student_id"), ("limit", "1000")],
        4,
    ),
]


def ask(api: Api, login: UUID | None, view: str, query: list[Parameter], **options: str) -> httpx.Response:
    headers = {"apikey": api.keys.publishable, "accept-profile": "mgmt", **options}
    if login is not None:
        headers["authorization"] = f"Bearer {api.token(login)}"
    return httpx.get(f"{api.url}/rest/v1/{view}", params=tuple(query), headers=headers, timeout=30)


def write(api: Api, login: UUID | None, **columns: Any) -> httpx.Response:
    note = {"id": str(uuid4()), "student_id": 1, "kind": "note", "body": "Called", **columns}
    return api.request("POST", "student_notes", login, schema="public", json=note)


@pytest.fixture
def populated(school: School, api: Api) -> School:
    """Away for ten days; for forty, and stuck; often here; back after twenty days; never seen."""
    school.student(1, level="A1")
    school.came(1, 10, 20)
    school.student(2, level='A, (1)."b"', full_name="=<script>alert(1)</script>")
    school.came(2, 40)
    school.learns(2, "stuck")
    school.student(3, level="A1")
    school.came(3, *(day + 0.01 for day in range(30)))
    school.student(4)
    school.came(4, 1.0, 21.5)
    school.student(5)
    assert write(api, school.manager).status_code == 201
    return school


def test_the_list_of_requests_names_every_view_of_the_page() -> None:
    named = {
        name
        for path in ASSETS.glob("*.js")
        for name in re.findall(r'"((?:panel_[a-z]+|engagement_\w+_v|student_notes))"', path.read_text())
    }
    assert named - {"student_notes"} == {view for view, _, _ in REQUESTS}


@pytest.mark.parametrize(("view", "query", "rows"), REQUESTS, ids=lambda part: part if isinstance(part, str) else "")
def test_what_the_page_asks_is_answered_to_managers_of_the_school_alone(
    populated: School, api: Api, view: str, query: list[Parameter], rows: int
) -> None:
    answer = ask(api, populated.manager, view, query, prefer="count=exact")
    assert (answer.status_code, len(answer.json())) == (200, rows), answer.text
    assert answer.headers["content-range"].endswith(f"/{rows}")
    other = School(populated.database, name="Elsewhere")
    elsewhere = ask(api, other.manager, view, query)
    assert elsewhere.status_code == 200
    for text in ("Student", "script", "Called", '"School"'):
        assert text not in elsewhere.text
    for role in ("peer_mentor", "coordinator", "admin"):
        assert refused(ask(api, populated.login(role), view, query)) == (403, "42501")
    assert refused(ask(api, None, view, query)) == (401, "42501")
    expired = httpx.get(
        f"{api.url}/rest/v1/{view}",
        params=tuple(query),
        headers={
            "apikey": api.keys.publishable,
            "accept-profile": "mgmt",
            "authorization": f"Bearer {api.token(populated.manager, exp=1)}",
        },
    )
    assert expired.status_code == 401
    other.remove()


def test_the_figures_are_what_the_documents_views_count(populated: School) -> None:
    for student, days in enumerate([0.5, 6.9, 7.1, 13.9, 14.1, 29.9, 30.1, 179.0, 400.0], 10):
        populated.student(student, level=f"B{student % 3}")
        populated.came(student, days)
    populated.student(30, is_active=False)
    populated.came(30, 50)
    rows = populated.view("panel_figures")
    total, levels = rows[0], rows[1:]
    activity = populated.view("engagement_student_activity_v")
    assert total["is_every_level"] is True
    assert not any(row["is_every_level"] for row in levels)

    def counted(students: list[dict[str, Any]]) -> dict[str, int]:
        away = [float(row["days_since_last_checkin"]) for row in students if row["days_since_last_checkin"] is not None]
        scores = [float(row["consistency_score"] or 0) for row in students if row["sessions_30d"] >= 5]
        return {
            "students": len(students),
            "came_7d": sum(days < 7 for days in away),
            "away_7d": sum(7 <= days < 14 for days in away),
            "away_14d": sum(14 <= days < 30 for days in away),
            "away_30d": sum(days >= 30 for days in away),
            "never_came": len(students) - len(away),
            "highly_engaged": sum(score >= 60 for score in scores),
            "ambassadors": sum(score >= 85 for score in scores),
            "sessions_30d": sum(row["sessions_30d"] for row in students),
        }

    for row in (total, *levels):
        students = [one for one in activity if row["is_every_level"] or one["level"] == row["level"]]
        assert {name: row[name] for name in counted(students)} == counted(students), row["level"]
    assert {row["level"] for row in levels} == {one["level"] for one in activity}
    assert total["highly_engaged"] == total["ambassadors"] == 1
    buckets = Counter(one["inactivity_bucket"] for one in populated.view("engagement_inactive_roster_v"))
    assert total["away_14d"] == buckets["inactive_14d"]
    # The former student is on the roster and not among the active.
    assert total["away_30d"] == buckets["dormant_30d"] + buckets["long_term_inactive_180d"] - 1


def test_today_is_the_schools_day(school: School) -> None:
    school.student(1)
    school.came(1, 0.0001)
    midnight = school.database.value("select now() at time zone 'Pacific/Kiritimati'")
    for zone in ("Pacific/Kiritimati", "Pacific/Midway"):
        school.setting("panel_time_zone", zone)
        assert school.view("panel_figures")[0]["came_today"] == 1, midnight
        assert school.view("panel_reader")[0]["time_zone"] == zone
    school.student(2)
    school.came(2, 1.01)
    assert school.view("panel_figures")[0]["came_today"] == 1


def test_a_score_on_the_border_counts_as_the_view_has_it(school: School) -> None:
    school.setting("panel_session_target", 10)
    for student in range(1, 8):
        school.student(student)
        # Six of ten, a moment ago: 60, less the moment.
        school.came(student, *(0.0 if student > 4 else 0.05 * number for number in range(5 + student % 3)))
    scores = [
        row["consistency_score"] for row in school.view("engagement_student_activity_v") if row["sessions_30d"] >= 5
    ]
    assert school.view("panel_figures")[0]["highly_engaged"] == sum(score >= 60 for score in scores)


def test_returns_are_those_of_the_document_with_the_level(populated: School) -> None:
    returns = populated.view("panel_returns")
    assert [row.pop("level") for row in returns] == [None]
    assert returns == populated.view("engagement_recent_reactivated_14d_v")


def test_who_reads_is_said_by_name(school: School, api: Api) -> None:
    (reader,) = ask(api, school.manager, "panel_reader", []).json()
    assert {name: reader[name] for name in ("organization_name", "reader_name", "time_zone", "session_target")} == {
        "organization_name": "School",
        "reader_name": "Manager",
        "time_zone": "America/Guayaquil",
        "session_target": 30,
    }


# ------------------------------------------------------------------------------------------- notes


def test_a_note_has_its_author_and_its_time_and_stays(populated: School, api: Api) -> None:
    body = "Habló con su madre: <b>vuelve</b>\n=1+1 'x' ; drop table students; -- ñ 😀"
    assert write(api, populated.manager, body=body, kind="contacted").status_code == 201
    colleague = populated.login("manager")
    notes = ask(api, colleague, "panel_notes", [("student_id", "eq.1")]).json()
    assert [(note["kind"], note["body"], note["author_name"], note["is_own"]) for note in notes] == [
        ("contacted", body, "Manager", False),
        ("note", "Called", "Manager", False),
    ]
    (followed,) = ask(api, colleague, "panel_followups", [("student_id", "in.(1,2)")]).json()
    assert (followed["notes"], followed["contacted_at"], followed["noted_at"]) == (
        2,
        notes[0]["created_at"],
        notes[0]["created_at"],
    )


def test_a_note_that_is_sent_twice_is_there_once(populated: School, api: Api) -> None:
    note_id = str(uuid4())
    assert write(api, populated.manager, id=note_id).status_code == 201
    assert refused(write(api, populated.manager, id=note_id)) == (409, "23505")
    assert len(ask(api, populated.manager, "panel_notes", [("student_id", "eq.1")]).json()) == 2


@pytest.mark.parametrize("forged", ["author_id", "created_at", "organization_id"])
def test_author_time_and_school_cannot_be_forged(populated: School, api: Api, forged: str) -> None:
    colleague = populated.database.value("select id from public.users where organization_id = %s", (populated.id,))
    value = {"author_id": str(colleague), "created_at": "2020-01-01", "organization_id": str(populated.id)}[forged]
    assert refused(write(api, populated.manager, **{forged: value})) == (403, "42501")
    answer = api.request(
        "PATCH",
        "student_notes",
        populated.manager,
        schema="public",
        params={"student_id": "eq.1"},
        json={forged: value},
    )
    assert refused(answer) == (403, "42501")


@pytest.mark.parametrize(
    ("columns", "answer"),
    [
        ({"body": "x" * 2001}, (400, "23514")),
        ({"body": " \n "}, (400, "23514")),
        ({"kind": "told off"}, (400, "23514")),
        ({"student_id": 99}, (409, "23503")),
        ({"student_id": "1; drop table"}, (400, "22P02")),
        ({"body": "\x00"}, (400, "22P05")),
        ({"id": "not-a-uuid"}, (400, "22P02")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_notes_are_refused(populated: School, api: Api, columns: dict[str, Any], answer: tuple[int, str]) -> None:
    assert refused(write(api, populated.manager, **columns)) == answer
    assert len(populated.view("panel_notes")) == 1


def test_nobody_else_writes_or_removes_a_note(populated: School, api: Api) -> None:
    other = School(populated.database)
    other.student(1)
    own = write(api, other.manager)
    assert own.status_code == 201, "of their own student of that number"
    for login in (None, *(populated.login(role) for role in ("peer_mentor", "servant", "coordinator", "admin"))):
        assert refused(write(api, login))[1] == "42501"
    for login in (other.manager, populated.login("manager"), populated.login("admin")):
        answer = api.request(
            "DELETE", "student_notes", login, schema="public", params={"body": "eq.Called", "student_id": "eq.1"}
        )
        assert answer.status_code in {200, 204}
        assert [note["body"] for note in populated.view("panel_notes")] == ["Called"]
    assert other.view("panel_notes") == [], "their own they may"
    populated.database.execute("update public.users set is_active = false where organization_id = %s", (populated.id,))
    assert refused(write(api, populated.manager))[1] == "42501"
    other.remove()


def test_an_author_removes_their_own(populated: School, api: Api) -> None:
    (note,) = ask(api, populated.manager, "panel_notes", [("student_id", "eq.1")]).json()
    assert note["is_own"] is True
    answer = api.request(
        "DELETE", "student_notes", populated.manager, schema="public", params={"id": f"eq.{note['id']}"}
    )
    assert answer.status_code in {200, 204}
    assert populated.view("panel_notes") == populated.view("panel_followups") == []


def test_a_note_outlives_its_author_and_goes_with_its_student(populated: School) -> None:
    user = populated.database.value(
        "select author_id from public.student_notes where organization_id = %s", (populated.id,)
    )
    colleague = School.login(populated, "manager")
    populated.database.execute("delete from public.users where organization_id = %s and id = %s", (populated.id, user))
    populated.manager = colleague
    (note,) = populated.view("panel_notes")
    assert (note["author_name"], note["is_own"], note["body"]) == (None, False, "Called")
    populated.database.execute(
        "delete from public.students where organization_id = %s and student_id = 1", (populated.id,)
    )
    assert populated.view("panel_notes") == []
