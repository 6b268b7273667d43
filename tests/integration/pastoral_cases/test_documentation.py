"""docs/care.md: its example runs as it stands, and its words are those of the schema."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from attend.stack.keys import Keys
from tests.support.congregation import Congregation
from tests.support.database import Database
from tests.support.served import ROOT, Api

TEXT = (ROOT / "docs" / "care.md").read_text()


@pytest.fixture(scope="module")
def example() -> SimpleNamespace:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return SimpleNamespace(**names)


# The token of a real project is its auth service's to make.
@pytest.mark.embedded
def test_the_example_takes_attendance_corrects_it_and_works_a_case(
    example: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, api: Api, church: Congregation, database: Database
) -> None:
    keys = Keys()
    monkeypatch.setenv("SUPABASE_URL", api.url)
    monkeypatch.setenv("SUPABASE_PUBLISHABLE_KEY", keys.publishable)
    client = example.connect(keys.user_token(str(church.login(church.servant))))
    family = church.family(church.servant)
    away, here = church.person(family), church.person(family)
    for day in (0, 7, 14):
        church.service(day)
        service = client.table("services").select("*").eq("service_date", church.day(day).isoformat()).execute().data[0]
        example.take_attendance(client, service, {str(away): "present", str(here): "present"})
        example.take_attendance(client, service, {str(away): "absent", str(here): "late"})
    assert (church.state(away), church.state(here)) == ((3, True), (0, False))
    assert example.my_cases(client) == []
    database.execute("select public.auto_generate_absence_pastoral_cases()")
    (case,) = example.my_cases(client)
    assert (case["status"], case["absences"], case["person_id"]) == ("open", 3, str(away))
    assert example.log_visit(client, case["id"], "Tea.")["outcome"] == "reached"
    assert example.my_cases(client)[0]["status"] == "in_progress"


def test_defaults_are_those_of_the_schema(database: Database, church: Congregation) -> None:
    for key, column in (("engagement_targets", 1), ("engagement_weights", 2)):
        defaults = database.value("select private.engagement_setting(%s, %s)", (church.id, key))
        for part, value in defaults.items():
            row = next(line for line in TEXT.splitlines() if line.startswith(f"| {part} |"))
            assert int(row.strip("| ").split("|")[1 + column]) == value, row


@pytest.mark.parametrize("kind", ["case_status", "attendance_status", "person_status"])
def test_every_status_is_explained(database: Database, kind: str) -> None:
    for row in database.rows(f"select unnest(enum_range(null::public.{kind}))::text as word"):
        assert re.search(rf"\b{row['word'].replace('deceased', 'die')}", TEXT), row["word"]


def test_every_reason_to_withdraw_is_explained() -> None:
    source = (ROOT / "supabase/schemas/50_member_care/functions/case_changes.sql").read_text()
    for word in ("attendance_corrected", "threshold_raised"):
        assert word in source
        assert word in TEXT
