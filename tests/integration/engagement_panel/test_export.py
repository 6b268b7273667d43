"""`attend panel export`: every row, once, in a form that a spreadsheet reads and does not run."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attend import panel
from tests.integration.engagement_panel.conftest import Api, Ran
from tests.support.database import Database
from tests.support.school import School

# The token of a real project is its auth service's to make.
pytestmark = pytest.mark.embedded
ROSTER = "engagement_inactive_roster_v"
MANY = 50_001

type Export = Callable[..., Ran]


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_columns_are_those_of_the_database(database: Database) -> None:
    columns = database.rows(
        "select c.relname, array_agg(a.attname::text order by a.attnum) as columns from pg_class c"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0"
        # Those of the document; the page's own start with panel_.
        r" where c.relnamespace = 'mgmt'::regnamespace and c.relname like '%\_v' group by c.relname"
    )
    assert {row["relname"]: tuple(row["columns"]) for row in columns} == panel.VIEWS


def test_50_001_students_arrive_as_50_001(database: Database, school: School, export: Export) -> None:
    database.execute(
        "insert into public.students (organization_id, student_id, full_name)"
        " select %s, n, 'Student ' || n from generate_series(1, %s) n",
        (school.id, MANY),
    )
    ran = export(ROSTER, "--csv", by=school)
    assert (ran.status, [int(row["student_id"]) for row in read(ran.out)]) == (0, list(range(1, MANY + 1)))
    assert ran.err.rstrip().endswith("50,001 rows")
    active = export("engagement_student_activity_v", "--json", by=school)
    assert len({json.loads(line)["student_id"] for line in active.out.splitlines()}) == MANY


def test_a_project_with_a_lower_cap_loses_nothing(
    school: School, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    for student in range(1, 8):
        school.student(student)
    monkeypatch.setattr(panel, "_ROWS_A_PAGE", 3)
    assert len(read(export(ROSTER, by=school).out)) == 7


@pytest.mark.parametrize("view", panel.VIEWS)
def test_every_view_is_written_with_its_header(school: School, export: Export, view: str) -> None:
    empty = export(view, by=school)
    assert empty.status == 0
    assert empty.out.splitlines()[0].split(",") == list(panel.VIEWS[view])
    school.student(1)
    school.came(1, 1, 20)
    school.student(2)
    school.came(2, 20)
    school.learns(2, "stuck")
    full = read(export(view, by=school).out)
    seen = school.view(view)
    assert len(full) == len(seen) > 0
    assert list(full[0]) == list(seen[0])
    for written, row in zip(sorted(full, key=str), sorted(map(as_text, seen), key=str), strict=True):
        for column, value in row.items():
            try:
                # Days go on between the two questions.
                assert float(written[column]) == pytest.approx(float(value), abs=0.01)
            except ValueError:
                assert written[column] == value


def as_text(row: dict[str, Any]) -> dict[str, str]:
    def text(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        # Postgres leaves out the zeros at the end of a fraction.
        return (
            "" if value is None else re.sub(r"(\.\d*?)0+\+", r"\1+", str(getattr(value, "isoformat", value.__str__)()))
        )

    return {name: text(value) for name, value in row.items()}


@pytest.mark.parametrize(
    "name",
    [
        'María "Mía" Núñez',
        "Núñez, María",
        "two\nlines",
        "crlf\r\nlines",
        "'quoted'",
        "a;b\tc",
        "O\u2019Neil \U0001f600",
        "1,5",
    ],
)
def test_a_name_comes_out_as_it_went_in(school: School, export: Export, name: str) -> None:
    school.student(1, full_name=name)
    (row,) = read(export(ROSTER, by=school).out)
    assert row["full_name"] == name


@pytest.mark.parametrize(
    "name",
    [
        '=HYPERLINK("http://x","y")',
        *("+1+1", "-1+1", "@SUM(A1)", "\tx", "\rx", "\n1", "  =1+1", "\uff1d1+1", "\u00a0=1", "\ufeff=1"),
    ],
)
def test_what_a_spreadsheet_would_run_is_made_text(school: School, export: Export, name: str) -> None:
    school.student(1, full_name=name, level="-B1")
    (row,) = read(export(ROSTER, by=school).out)
    assert (row["full_name"], row["level"]) == (f"'{name}", "'-B1")
    # A machine gets what is stored.
    assert json.loads(export(ROSTER, "--json", by=school).out)["full_name"] == name


@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.parametrize(
    "name",
    [
        *(
            "Ana;=1+1",
            "Ana; \u00a0=1+1",
            "Ana;;@SUM(A1)",
            'Ana"";=1+1',
            "Ana\t+1",
            "Ana\n=1+1",
            "Ana\r\n=1+1",
            "\n=1+1",
        ),
        *("\t=1+1", ";-1", "Ana\n\uff1d1+1", "Ana;=1+1\n"),
    ],
)
def test_no_cell_is_a_formula_however_a_spreadsheet_separates(
    school: School, export: Export, name: str, separator: str
) -> None:
    school.student(1, full_name=name, level="A1;=1+1")
    school.student(2, full_name="Bea;=1+1")
    told = export(ROSTER, by=school).out
    cells = [cell for row in csv.reader(io.StringIO(told, newline=""), delimiter=separator) for cell in row]
    assert [cell for cell in cells if cell.strip().startswith(("=", "+", "-", "@", "\uff1d"))] == []
    # Nothing but apostrophes is new.
    assert read(told)[0]["full_name"].replace("'", "") == name


def test_numbers_stay_numbers(school: School, export: Export) -> None:
    school.student(-3)
    (row,) = read(export(ROSTER, by=school).out)
    assert (row["student_id"], row["days_since_last_checkin"]) == ("-3", "")


def test_a_file_is_whole_or_not_there(school: School, export: Export, tmp_path: Path) -> None:
    school.student(1, full_name="María")
    file = tmp_path / "panel.csv"
    assert export(ROSTER, "--output", "panel.csv", "--bom", by=school).status == 0
    assert file.read_bytes().startswith(b"\xef\xbb\xbfstudent_id,full_name,")
    assert b"\r\n1,Mar\xc3\xada," in file.read_bytes()
    before = file.read_bytes()
    refused = export(ROSTER, "--output", "panel.csv", by="no token")
    assert (refused.status, file.read_bytes()) == (2, before)
    assert [path.name for path in tmp_path.iterdir()] == ["panel.csv"]


@pytest.mark.parametrize(
    ("arguments", "token", "told"),
    [
        (("engagement_weather_v",), "x", "There is no view 'engagement_weather_v' in the panel."),
        ((ROSTER,), None, "Only a manager's own token reads the panel, and there is none."),
        ((ROSTER,), "   ", "ATTEND_MANAGER_TOKEN"),
        ((ROSTER, "--token-file", "nowhere"), None, "nowhere cannot be read as a token"),
        ((ROSTER,), "no.token.atall", "Only a manager's own token reads the panel, and this one is not."),
        ((ROSTER, "--output", "no/such/folder/x.csv"), "x", "cannot be written: No such file or directory"),
        ((ROSTER, "--xlsx"), "x", "No such option: --xlsx"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    export: Export, arguments: tuple[str, ...], token: str | None, told: str
) -> None:
    ran = export(*arguments, by=token)
    assert ran.status == 2
    assert told in ran.err
    assert ran.out == ""


def test_others_tokens_are_refused(school: School, export: Export, api: Api) -> None:
    school.student(1)
    others = {role: api.token(school.login(role)) for role in ("coordinator", "servant", "admin", "peer_mentor")}
    others["nobody's"] = api.keys.user_token("00000000-0000-0000-0000-000000000000")
    others["expired"] = api.token(school.manager, exp=int(time.time()) - 3600)
    others["secret key"] = api.keys.secret
    others["service"] = api.keys.service_role
    for who, token in others.items():
        ran = export(ROSTER, by=token)
        assert (ran.status, read(ran.out)) == (2, []), who
        assert "an active manager's" in ran.err, who
        assert token not in ran.err


def test_a_token_may_come_from_a_file(school: School, export: Export, api: Api, tmp_path: Path) -> None:
    school.student(1)
    (tmp_path / "token").write_text(api.token(school.manager) + "\n")
    assert len(read(export(ROSTER, "--token-file", "token", by=None).out)) == 1
