"""What cannot be entered, as whoever enters it meets it: through the API, by their own sign-in, nothing half-done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from attend.stack.keys import Keys
from tests.support.congregation import Congregation
from tests.support.database import Database
from tests.support.served import api_of

# The token of a real project is its auth service's to make.
pytestmark = pytest.mark.embedded

_KEYS = Keys()


class Desk:
    """A congregation, its servant and its admin at the API."""

    def __init__(self, url: str, database: Database) -> None:
        self.church, self.elsewhere = Congregation(database), Congregation(database)
        self.family = self.church.family(self.church.servant)
        self.person = self.church.person(self.family)
        self.church.records(self.person, "aa")
        self.stranger = self.elsewhere.person()
        self._url = url
        self._logins = {name: self.church.login(getattr(self.church, name)) for name in ("servant", "admin")}

    def ask(self, who: str, method: str, path: str, body: object = None) -> httpx.Response:
        token = _KEYS.user_token(str(self._logins[who]))
        headers = {"apikey": _KEYS.publishable, "authorization": f"Bearer {token}"}
        return httpx.request(method, f"{self._url}/rest/v1/{path}", json=body, headers=headers, timeout=20)

    def record(self, person: UUID, day: int = 14, **other: object) -> dict[str, object]:
        record = {
            "organization_id": self.church.id,
            "person_id": person,
            "service_id": self.church.service(day),
            "service_date": self.church.day(day),
            "status": "absent",
        }
        return {column: str(value) for column, value in (record | other).items()}

    def state(self) -> list[dict[str, Any]]:
        """Everything that a refusal must leave as it was."""
        return [
            *self.church.stored(),
            *self.church.database.rows(
                "select (select count(*) from public.attendance_records) as records,"
                " (select count(*) from public.services) as services,"
                " (select count(*) from private.care_marks) as marks,"
                " (select count(*) from public.org_settings_kv) as settings,"
                " (select jsonb_agg(f order by f.id) from public.families f) as families,"
                " (select jsonb_agg(c order by c.id) from public.pastoral_cases c) as cases"
            ),
        ]


@pytest.fixture(scope="module")
def url(database: Database) -> Iterator[str]:
    with api_of(database) as api:
        yield api.url


@pytest.fixture
def desk(url: str, database: Database) -> Desk:
    return Desk(url, database)


def is_refused(answer: httpx.Response, status: int, code: str, word: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert word in answer.json()["message"]


def test_attendance_that_cannot_be_is_refused_in_words_and_nothing_of_it_is_written(desk: Desk) -> None:
    church, ahead = desk.church, (datetime.now(UTC) + timedelta(days=2)).isoformat()
    somebody = church.person()
    refusals = (
        (desk.record(desk.stranger), 409, "23503", "attendance_records_organization_id_person_id_fkey"),
        (desk.record(uuid4()), 409, "23503", "attendance_records_organization_id_person_id_fkey"),
        (desk.record(desk.person, 7), 409, "23505", "one_record_a_person_and_service"),
        (desk.record(desk.person, status="asleep"), 400, "22P02", 'enum attendance_status: "asleep"'),
        (desk.record(desk.person, service_date=ahead[:10]), 409, "23503", "record_bears_the_date_of_its_service"),
        (
            desk.record(desk.person, status="present", checked_in_at=ahead),
            400,
            "23514",
            "check_in_is_not_in_the_future",
        ),
        (desk.record(desk.stranger, organization_id=desk.elsewhere.id), 403, "42501", "row-level security"),
    )
    before = desk.state()
    for record, status, code, word in refusals:
        is_refused(desk.ask("servant", "POST", "attendance_records", record), status, code, word)
        # Nor is any of the good ones beside it; an API takes only rows that are alike.
        good = desk.record(somebody) | ({"checked_in_at": None, "status": "late"} if "checked_in_at" in record else {})
        is_refused(desk.ask("servant", "POST", "attendance_records", [good, record]), status, code, word)
        assert desk.state() == before
    assert church.stored() == church.recomputed()


def test_a_service_of_the_future_is_refused_and_says_which_day(desk: Desk) -> None:
    day = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    service = {"organization_id": str(desk.church.id), "service_date": day, "kind": "liturgy"}
    before = desk.state()
    answer = desk.ask("servant", "POST", "services", service)
    is_refused(answer, 400, "23514", "service_is_not_in_the_future")
    assert day in answer.json()["details"]
    assert desk.state() == before


@pytest.mark.parametrize("value", [0, -1, 2.5, "3", True, None, [3]])
def test_a_threshold_that_is_no_positive_whole_number_is_refused(desk: Desk, value: object) -> None:
    setting = {"organization_id": str(desk.church.id), "key": "absence_alert_threshold", "value": value}
    before = desk.state()
    answer = desk.ask("admin", "POST", "org_settings_kv", setting)
    assert (answer.status_code, answer.json()["code"]) == (400, "23502" if value is None else "23514"), answer.text
    assert desk.state() == before
    assert desk.church.state(desk.person) == (2, False)


def test_a_servant_of_another_organisation_cannot_be_a_familys(desk: Desk) -> None:
    before = desk.state()
    for servant in (desk.elsewhere.servant, uuid4()):
        body = {"assigned_servant_id": str(servant)}
        answer = desk.ask("admin", "PATCH", f"families?id=eq.{desk.family}", body)
        is_refused(answer, 409, "23503", "families_organization_id_assigned_servant_id_fkey")
    assert desk.state() == before


def test_nobody_is_given_a_case_who_cannot_work_it(desk: Desk) -> None:
    church = desk.church
    left, mentor = church.user("servant"), church.user("peer_mentor")
    church.database.execute("update public.users set is_active = false where id = %s", (left,))
    church.record(desk.person, 14, "absent")
    church.generate()
    case = str(church.cases(desk.person)[0]["id"])
    before = desk.state()
    for servant, status, word in (
        (desk.elsewhere.servant, 404, "unknown_servant"),
        (left, 409, "servant_has_left"),
        (mentor, 409, "not_a_servant"),
    ):
        arguments = {"p_case_id": case, "p_servant_id": str(servant)}
        answer = desk.ask("admin", "POST", "rpc/reassign_case", arguments)
        is_refused(answer, status, f"PT{status}", word)
        assert str(servant) in answer.json()["details"]
    is_refused(desk.ask("servant", "POST", "rpc/reassign_case", arguments), 403, "42501", "only_admins_reassign")
    assert desk.state() == before


def test_a_case_of_nobodys_is_opened_all_the_same_and_says_why(desk: Desk) -> None:
    church = desk.church
    left = church.user("servant")
    homes = {None: "no_family", church.family(None): "no_servant", church.family(left): "servant_has_left"}
    people = {church.person(family): reason for family, reason in homes.items()}
    church.database.execute("update public.users set is_active = false where id = %s", (left,))
    for person in people:
        church.records(person, "aaa")
    assert church.generate() == {"cases": {"open": 3}}
    listed = desk.ask("admin", "GET", "unassigned_pastoral_cases?select=person_id,reason")
    assert {UUID(row["person_id"]): row["reason"] for row in listed.json()} == people
    assert desk.ask("servant", "GET", "unassigned_pastoral_cases").json() == []
