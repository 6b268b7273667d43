"""The panel through the API: who is refused, with which reason, and what is rendered harmless."""

from __future__ import annotations

import tomllib

import pytest

from attend.stack.gateway import GatewaySettings
from tests.integration.engagement_panel.conftest import Api
from tests.support.gateway import refused
from tests.support.schemas import SUPABASE
from tests.support.school import School

# The token of a real project is its auth service's to make.
pytestmark = pytest.mark.embedded
ROSTER = "engagement_inactive_roster_v"
VIEWS = sorted(path.stem for path in (SUPABASE / "schemas" / "60_panel" / "views").glob("*_v.sql"))


def test_the_stack_exposes_what_the_project_s_configuration_says() -> None:
    config = tomllib.loads((SUPABASE / "config.toml").read_text())
    assert list(GatewaySettings.model_fields["schemas"].default) == config["api"]["schemas"]
    assert "mgmt" in config["api"]["schemas"]


@pytest.mark.parametrize("view", VIEWS)
def test_a_manager_reads_and_everybody_else_is_told_why_not(school: School, api: Api, view: str) -> None:
    for anybody_there in (False, True):
        if anybody_there:
            school.student(1)
            school.came(1, 1, 20)
            school.learns(1, "stuck")
        assert api.get(view, school.manager).status_code == 200
        for role in ("peer_mentor", "servant", "coordinator", "admin"):
            answer = api.get(view, school.login(role))
            assert (*refused(answer), answer.json()["message"]) == (403, "42501", "only_managers_read_the_panel"), role
        assert refused(api.get(view)) == (401, "42501")
        assert refused(api.get(view, key=api.keys.secret)) == (403, "42501")


def test_a_manager_of_another_organisation_sees_their_own_alone(school: School, api: Api) -> None:
    other = School(school.database)
    school.student(1, full_name="Ours")
    other.student(1, full_name="Theirs")
    other.student(2, full_name="Theirs")
    assert [row["full_name"] for row in api.get(ROSTER, school.manager).json()] == ["Ours"]
    assert api.get(ROSTER, school.manager, student_id="eq.2").json() == []
    assert {row["full_name"] for row in api.get(ROSTER, other.manager).json()} == {"Theirs"}
    other.remove()


def test_a_manager_who_left_is_none(school: School, api: Api) -> None:
    assert api.get(ROSTER, school.manager).status_code == 200
    school.database.execute("update public.users set is_active = false where organization_id = %s", (school.id,))
    assert refused(api.get(ROSTER, school.manager)) == (403, "42501")


def test_somebody_with_a_login_and_no_organisation_is_told_why(school: School, api: Api) -> None:
    stranger = school.database.value("insert into auth.users (id) values (gen_random_uuid()) returning id")
    answer = api.get(ROSTER, stranger)
    assert (*refused(answer), answer.json()["message"]) == (403, "42501", "only_managers_read_the_panel")
    assert "Sign in as an active manager" in answer.json()["hint"]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_no_view_can_be_written(school: School, api: Api, view: str, method: str) -> None:
    school.student(1)
    column = "full_name" if "student" in view or "roster" in view or "learn" in view or "react" in view else "x"
    answer = api.request(
        method,
        view,
        school.manager,
        params={} if method == "POST" else {"student_id": "eq.1"},
        json=None if method == "DELETE" else {column: "Changed"},
    )
    assert answer.status_code in {400, 403, 405, 500}, answer.text
    assert answer.json()["message"]
    assert [row["full_name"] for row in api.get(ROSTER, school.manager).json()] == ["Student 1"]


def test_an_unknown_column_view_or_schema_is_named(school: School, api: Api) -> None:
    answer = api.get(ROSTER, school.manager, shoe_size="eq.1")
    assert refused(answer) == (400, "42703")
    assert "shoe_size" in answer.json()["message"]
    assert refused(api.get(ROSTER, school.manager, select="shoe_size")) == (400, "42703")
    assert refused(api.get(ROSTER, school.manager, student_id="eq.one")) == (400, "22P02")
    answer = api.get("engagement_weather_v", school.manager)
    assert refused(answer) == (404, "PGRST205")
    assert "engagement_weather_v" in answer.json()["message"]


@pytest.mark.parametrize("relation", ["active_students", "students"])
def test_what_the_views_are_made_of_is_not_among_them(school: School, api: Api, relation: str) -> None:
    assert refused(api.get(relation, school.manager)) == (404, "PGRST205")


@pytest.mark.parametrize("name", ['Zoë "Zo" O\'Neil', "Núñez, María", "two\r\nlines", "a)b(c", "back\\slash", "💃 {x}"])
def test_any_name_is_found_and_comes_back_as_it_is(school: School, api: Api, name: str) -> None:
    school.student(1, full_name=name)
    school.student(2)
    rows = api.get(ROSTER, school.manager, full_name=f"eq.{name}").json()
    assert [(row["student_id"], row["full_name"]) for row in rows] == [(1, name)]


def test_the_school_s_system_writes_and_a_wrong_row_is_refused_by_name(school: School, api: Api) -> None:
    def write(table: str, **row: object) -> tuple[int, str]:
        answer = api.request(
            "POST",
            table,
            key=api.keys.secret,
            json={"organization_id": str(school.id), "student_id": 1, **row},
            schema="public",
        )
        return answer.status_code, answer.text

    assert write("students", full_name="Ana")[0] == 201
    assert write("student_attendance")[0] == 201
    for table, row, rule in (
        ("students", {"student_id": 2, "full_name": " "}, "student_name_is_not_blank"),
        ("students", {"full_name": "Again"}, "students_pkey"),
        ("student_attendance", {"student_id": 9}, "student_attendance_organization_id_student_id_fkey"),
        ("student_attendance", {"checkin_time": "2999-01-01T00:00:00Z"}, "checkin_is_not_in_the_future"),
        ("student_attendance", {"minutes": -5}, "minutes_are_of_one_day"),
        ("learning_progress", {"lessons_completed": 5, "lessons_total": 4}, "no_more_lessons_than_there_are"),
    ):
        status, said = write(table, **row)
        assert status in {400, 409}
        assert rule in said
    (row,) = api.get(ROSTER, school.manager).json()
    assert (row["full_name"], row["inactivity_bucket"]) == ("Ana", "active_recent")
    assert row["last_checkin_time"] is not None
