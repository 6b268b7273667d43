"""The six views against the document they come from: column for column, type for type, label for label, in its order.

The document is copied into panel.toml, so that nothing outside the repository is needed and a change of either shows.
"""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import Database
from tests.support.school import School

CONTRACT = tomllib.loads(Path(__file__).with_name("panel.toml").read_text())
VIEWS = {name: view for name, view in CONTRACT.items() if isinstance(view, dict)}

# A student for every label: how many days ago they came, and how they learn.
STUDENTS = {
    1: ((200,), "stuck"),
    2: ((40,), "slow"),
    3: ((20,), "low"),
    4: ((8, 9, 10), None),
    5: ((1, 2, 3, 4, 5, 6, 7), None),
    6: ((), None),
    7: ((60, 2), None),
    8: ((300, 1), None),
    9: ((25,), "stuck"),
}


@pytest.fixture(scope="module")
def school(database: Database) -> School:
    school = School(database)
    for student, (days_ago, learning) in STUDENTS.items():
        school.student(student, level=None if student % 2 else "B1")
        school.came(student, *days_ago)
        if learning:
            school.learns(student, learning)
    return school


@pytest.mark.parametrize("name", VIEWS)
def test_the_columns_are_those_of_the_document_in_its_order_and_types(database: Database, name: str) -> None:
    columns = database.rows(
        "select a.attname, format_type(a.atttypid, a.atttypmod) as type from pg_attribute a"
        " where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped order by a.attnum",
        (f"{CONTRACT['schema']}.{name}",),
    )
    assert [[column["attname"], column["type"]] for column in columns] == VIEWS[name]["columns"]


@pytest.mark.parametrize("name", VIEWS)
def test_what_is_not_said_to_be_null_is_not(school: School, name: str) -> None:
    rows = school.view(name)
    assert rows
    nulls = {column for row in rows for column, value in row.items() if value is None}
    assert nulls <= set(VIEWS[name]["nullable"])


@pytest.mark.parametrize(
    ("name", "column"), [(name, c) for name, view in VIEWS.items() for c in view.get("labels", {})]
)
def test_the_labels_are_those_of_the_document(school: School, name: str, column: str) -> None:
    assert {row[column] for row in school.view(name)} == set(VIEWS[name]["labels"][column])


@pytest.mark.parametrize("name", [name for name, view in VIEWS.items() if "order" in view])
def test_the_rows_are_ordered_as_the_document_says(school: School, name: str) -> None:
    keys = [column for column, direction in VIEWS[name]["order"] if direction == "desc"]
    assert len(keys) == len(VIEWS[name]["order"])
    rows = school.view(name)
    assert len(rows) > 1
    for above, below in pairwise(rows):
        assert _descending(above, keys) <= _descending(below, keys), (above, below)


def _descending(row: dict[str, Any], keys: list[str]) -> list[tuple[bool, float]]:
    """What sorts descending, nulls last."""
    values = [row[key].toordinal() if hasattr(row[key], "toordinal") else row[key] for key in keys]
    return [(value is None, -float(value or 0)) for value in values]


@pytest.mark.parametrize("name", [name for name, view in VIEWS.items() if "every_label_once_in_this_order" in view])
def test_every_label_has_its_row_whoever_came(database: Database, school: School, name: str) -> None:
    column = VIEWS[name]["every_label_once_in_this_order"]
    empty = School(database)
    for some in (school, empty):
        assert [row[column] for row in some.view(name)] == VIEWS[name]["labels"][column]


def test_all_students_are_on_the_roster_and_the_active_in_the_other(school: School) -> None:
    assert {row["student_id"] for row in school.view("engagement_inactive_roster_v")} == set(STUDENTS)
    school.database.execute("update public.students set is_active = false where student_id = 6")
    assert {row["student_id"] for row in school.view("engagement_inactive_roster_v")} == set(STUDENTS)
    assert {row["student_id"] for row in school.view("engagement_student_activity_v")} == set(STUDENTS) - {6}


def test_the_time_zone_is_the_document_s_unless_the_organisation_has_its_own(school: School) -> None:
    def zone() -> str:
        with school.database.as_user(school.manager) as manager:
            (row,) = manager.execute("select time_zone from private.panel_settings()").fetchall()
        return row["time_zone"]

    assert zone() == CONTRACT["time_zone"]
    school.setting("panel_time_zone", "Asia/Tokyo")
    assert zone() == "Asia/Tokyo"


def test_nothing_else_is_in_the_schema_but_what_they_lean_on(database: Database) -> None:
    # What the page reads besides starts with panel_, and is described in docs/panel.md.
    views = database.rows(
        r"select viewname from pg_views where schemaname = %s and viewname not like 'panel\_%%'", (CONTRACT["schema"],)
    )
    leaning_on = {"engagement_dau_90d_v", "learning_at_risk_learners_v", "learning_stuck_students_v"}
    assert {row["viewname"] for row in views} == set(VIEWS) | leaning_on
    assert not database.rows("select from pg_proc where pronamespace = %s::regnamespace", (CONTRACT["schema"],))
