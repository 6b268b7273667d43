"""Statistics as clients of the API meet them: rules by their names, dashboards, team figures and frozen reports."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from attend.stack.keys import Keys
from tests.conftest import on_real_stack
from tests.integration.statistics.conftest import NOW, Programme, utc
from tests.support.database import Database
from tests.support.gateway import running_gateway
from tests.support.stack import GivenStack


class Client:
    """A caller of the REST interface with a key of its own."""

    def __init__(self, url: str, key: str, token: str | None = None) -> None:
        headers = {"apikey": key} | ({"authorization": f"Bearer {token}"} if token else {})
        self.http = httpx.Client(base_url=url, headers=headers, timeout=30)

    def rows(self, relation: str, **filters: str) -> list[dict[str, Any]]:
        answer = self.http.get(f"/rest/v1/{relation}", params=filters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def insert(self, relation: str, row: dict[str, Any]) -> httpx.Response:
        return self.http.post(f"/rest/v1/{relation}", json=row, headers={"prefer": "return=representation"})

    def change(self, relation: str, change: dict[str, Any], **filters: str) -> httpx.Response:
        return self.http.patch(f"/rest/v1/{relation}", json=change, params=filters)

    def call(self, function: str, **parameters: Any) -> httpx.Response:
        return self.http.post(f"/rest/v1/rpc/{function}", json=parameters)

    def figures(self, period: str = "all_time", **parameters: Any) -> dict[str, Any]:
        answer = self.call("team_statistics", p_period_type=period, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def address(database: Database) -> Iterator[tuple[str, Keys]]:
    if on_real_stack():
        given = GivenStack()
        yield given.api_url, given.keys
        return
    with running_gateway(database.dsn("authenticator")) as url:
        yield url, Keys()


@pytest.fixture
def service(address: tuple[str, Keys]) -> Client:
    return Client(_base(address[0]), address[1].secret)


@pytest.fixture
def sign_in(address: tuple[str, Keys], programme: Programme) -> Any:
    """A client signed in as a person of the programme (or of another)."""

    def sign_in(user_id: UUID, of: Programme = programme) -> Client:
        login = of.login(user_id)
        return Client(_base(address[0]), address[1].publishable, address[1].user_token(str(login)))

    return sign_in


@pytest.fixture
def coordinator(sign_in: Any, programme: Programme) -> Client:
    return sign_in(programme.person("coordinator"))


@pytest.fixture
def stranger(database: Database) -> Programme:
    """Another organisation, with somebody who reached ten people."""
    other = Programme(database, database.value("insert into public.organizations (name) values ('Q') returning id"))
    other.activity(
        other.person(), NOW - timedelta(hours=2), *(other.contact() for _ in range(10)), duration_minutes=600
    )
    return other


def _base(url: str) -> str:
    return url.removesuffix("/").removesuffix("/rest/v1")


def problem(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of an error, which has exactly the four fields."""
    body = answer.json()
    assert set(body) == {"code", "message", "details", "hint"}
    return answer.status_code, body["code"], body["message"]


# --- Rules, as the client sees them ---------------------------------------------------------------------------------

DAY = {"period_type": "day", "period_start": "2024-05-14T00:00:00Z", "period_end": "2024-05-15T00:00:00Z"}


@pytest.mark.parametrize(
    ("rule", "status", "code", "change"),
    [
        ("period_start_before_end", 400, "23514", {"period_end": "2024-05-13T00:00:00Z"}),
        ("period_start_before_end", 400, "23514", {"period_end": "2024-05-14T00:00:00Z"}),
        ("period_bounds_fit_period_type", 400, "23514", {"period_end": "2024-05-16T00:00:00Z"}),
        ("period_bounds_fit_period_type", 400, "23514", {"period_type": "month"}),
        ("period_bounds_fit_period_type", 400, "23514", {"period_start": None}),
        ("period_bounds_fit_period_type", 400, "23514", {"period_type": "all_time"}),
        ("counts_non_negative", 400, "23514", {"total_activities": -1}),
        ("counts_non_negative", 400, "23514", {"total_duration_minutes": -1}),
        ("counts_non_negative", 400, "23514", {"streak_days": -1}),
        ("computed_at_not_future", 400, "23514", {"computed_at": (NOW + timedelta(days=1)).isoformat()}),
        ("user_belongs_to_organization", 409, "23503", {"user_id": str(uuid4())}),
        ("statistics_period", 400, "22P02", {"period_type": "decade"}),
        ("activity_type_breakdown_is_an_object", 400, "23514", {"activity_type_breakdown": [1]}),
        ("integer", 400, "22003", {"total_activities": 2**31}),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_by_the_name_of_the_rule(
    programme: Programme, mentor: UUID, service: Client, rule: str, status: int, code: str, change: dict[str, Any]
) -> None:
    row = {"organization_id": str(programme.id), "user_id": str(mentor), **DAY, **change}
    answer = service.insert("activity_statistics", row)
    assert problem(answer)[:2] == (status, code)
    assert rule in answer.json()["message"]
    assert programme.row(mentor, "day", "2024-05-14") == {}


def test_a_second_row_for_a_period_is_refused(programme: Programme, mentor: UUID, service: Client) -> None:
    row = {"organization_id": str(programme.id), "user_id": str(mentor), "period_type": "all_time"}
    answer = service.insert("activity_statistics", row)
    assert problem(answer)[:2] == (409, "23505")
    assert "one_row_per_user_period" in answer.json()["message"]


def test_a_person_of_another_organisation_is_refused(
    programme: Programme, stranger: Programme, service: Client
) -> None:
    row = {"organization_id": str(programme.id), "user_id": str(stranger.person()), **DAY}
    assert "user_belongs_to_organization" in problem(service.insert("activity_statistics", row))[2]


def test_unknown_types_are_written_and_the_warning_is_readable(
    programme: Programme, mentor: UUID, service: Client, coordinator: Client, sign_in: Any
) -> None:
    row = {"organization_id": str(programme.id), "user_id": str(mentor), **DAY}
    answer = service.insert("activity_statistics", row | {"activity_type_breakdown": {"diving": 2, "other": 1}})
    assert answer.status_code == 201
    (warning,) = coordinator.rows("statistics_warnings")
    assert warning["rule"] == "type_breakdown_keys_valid"
    assert warning["user_id"] == str(mentor)
    assert warning["details"] == {"statistics_id": answer.json()[0]["id"], "unknown_types": ["diving"]}
    assert sign_in(mentor).rows("statistics_warnings") == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"occurred_at": (NOW + timedelta(hours=1)).isoformat()}, "completed_is_not_in_the_future"),
        ({"occurred_at": "1969-12-31T23:59:59Z"}, "occurred_at_is_not_before_1970"),
        ({"duration_minutes": -1}, "duration_is_between_zero_and_a_week"),
        ({"duration_minutes": 10_081}, "duration_is_between_zero_and_a_week"),
        ({"activity_type_id": "diving"}, "activities_organization_id_activity_type_id_fkey"),
    ],
)
def test_a_bad_activity_is_refused_by_its_rule_and_leaves_neither_row_nor_mark(
    programme: Programme, mentor: UUID, sign_in: Any, change: dict[str, Any], rule: str
) -> None:
    row = {"activity_type_id": "other", "occurred_at": NOW.isoformat(), "duration_minutes": 5, **change}
    answer = sign_in(mentor).http.post(
        "/rest/v1/activities", json={"organization_id": str(programme.id), "user_id": str(mentor), **row}
    )
    assert problem(answer)[0] in {400, 409}
    assert rule in answer.json()["message"]
    assert programme.marks() == 0
    assert programme.database.value("select count(*) from public.activities where user_id = %s", (mentor,)) == 0


def test_an_activity_of_somebody_of_another_organisation_is_refused_and_leaves_no_mark(
    programme: Programme, stranger: Programme, service: Client
) -> None:
    theirs = stranger.person()
    row = {"activity_type_id": "other", "occurred_at": NOW.isoformat(), "duration_minutes": 5}
    answer = service.insert("activities", row | {"organization_id": str(programme.id), "user_id": str(theirs)})
    assert problem(answer)[:2] == (409, "23503")
    assert "activities_organization_id_user_id_fkey" in answer.json()["message"]
    assert programme.marks() == 0
    assert programme.database.value("select count(*) from public.activities where user_id = %s", (theirs,)) == 0


def test_one_bad_row_of_many_leaves_nothing_of_the_rest(programme: Programme, mentor: UUID, service: Client) -> None:
    rows = [
        {
            "organization_id": str(programme.id),
            "user_id": str(mentor),
            "activity_type_id": "other",
            "occurred_at": NOW.isoformat(),
            "duration_minutes": minutes,
        }
        for minutes in (5, 10, -5)
    ]
    answer = service.http.post("/rest/v1/activities", json=rows)
    assert problem(answer)[0] == 400
    assert programme.marks() == 0
    programme.assert_right()


# --- A person's own dashboard ---------------------------------------------------------------------------------------


def test_a_mentor_reads_their_own_rows_and_no_others(programme: Programme, mentor: UUID, sign_in: Any) -> None:
    programme.activity(mentor)
    programme.activity(programme.person())
    programme.drain()
    rows = sign_in(mentor).rows("activity_dashboard", order="period_start")
    assert {row["user_id"] for row in rows} == {str(mentor)}
    assert {row["period_type"] for row in rows} == {"day", "week", "month", "quarter", "year", "all_time"}


def test_a_dashboard_says_whether_a_change_still_waits(programme: Programme, mentor: UUID, sign_in: Any) -> None:
    other = sign_in(programme.person())
    client = sign_in(mentor)
    assert [row["is_being_recomputed"] for row in client.rows("activity_dashboard")] == [False]
    programme.activity(mentor)
    assert [row["is_being_recomputed"] for row in client.rows("activity_dashboard")] == [True]
    assert [row["is_being_recomputed"] for row in other.rows("activity_dashboard")] == [False]
    before = client.rows("activity_dashboard", period_type="eq.all_time")[0]["computed_at"]
    programme.drain()
    (row,) = client.rows("activity_dashboard", period_type="eq.all_time")
    assert not row["is_being_recomputed"]
    assert row["computed_at"] > before
    assert row["total_activities"] == 1


def test_a_coordinator_reads_the_dashboards_of_the_organisation_alone(
    programme: Programme, mentor: UUID, coordinator: Client, stranger: Programme
) -> None:
    stranger.drain()
    rows = coordinator.rows("activity_dashboard", period_type="eq.all_time")
    assert {row["organization_id"] for row in rows} == {str(programme.id)}
    assert str(mentor) in {row["user_id"] for row in rows}


# --- The team --------------------------------------------------------------------------------------------------------


def test_a_contact_of_two_mentors_is_one_person_to_the_team(
    programme: Programme, mentor: UUID, coordinator: Client
) -> None:
    other, shared, own = programme.person(), programme.contact(), programme.contact()
    programme.activity(mentor, "2024-05-14", shared, own)
    programme.activity(other, "2024-05-16", shared)
    programme.activity(other, "2024-06-01", shared)
    programme.drain()
    may = coordinator.figures("month", p_day="2024-05-31")
    assert (may["sum_of_contacts"], may["distinct_contacts"]) == (3, 2)
    only = coordinator.figures("month", p_day="2024-05-31", p_user_ids=[str(other)])
    assert (only["sum_of_contacts"], only["distinct_contacts"], only["active_people"]) == (1, 1, 1)
    ever = coordinator.figures()
    assert (ever["sum_of_contacts"], ever["distinct_contacts"], ever["total_activities"]) == (3, 2, 3)


def test_the_team_s_figures_are_the_sums_of_its_people(programme: Programme, mentor: UUID, coordinator: Client) -> None:
    other = programme.person()
    programme.database.execute(
        "insert into public.bufdir_rules values (%s, '2024-01-01', 30, false, false)", (programme.id,)
    )
    programme.activity(mentor, "2024-05-14", activity_type_id="home-visit", duration_minutes=60)
    programme.activity(mentor, "2024-05-15", activity_type_id="phone-call", duration_minutes=10)
    programme.activity(other, "2024-05-16", activity_type_id="group-meeting", proxy_registered_by=mentor)
    programme.activity(other, "2024-05-31 23:59", activity_type_id="home-visit", proxy_registered_by=mentor)
    programme.activity(other, "2024-06-01", activity_type_id="home-visit")
    programme.activity(other, "2024-05-17", status="cancelled")
    programme.drain()
    figures = coordinator.figures("month", p_day="2024-05-01")
    assert {
        name: figures[name]
        for name in (
            *("active_people", "total_activities", "total_duration_minutes", "home_visit_count", "phone_call_count"),
            *("group_activity_count", "proxy_activity_count", "proxy_share", "bufdir_eligible_count"),
        )
    } == {
        "active_people": 2,
        "total_activities": 4,
        "total_duration_minutes": 130,
        "home_visit_count": 2,
        "phone_call_count": 1,
        "group_activity_count": 1,
        "proxy_activity_count": 2,
        "proxy_share": 0.5,
        "bufdir_eligible_count": 3,
    }
    assert figures["activity_type_breakdown"] == {"home-visit": 2, "phone-call": 1, "group-meeting": 1}
    assert figures["period_start"] == "2024-05-01T00:00:00+00:00"
    assert figures["period_end"] == "2024-06-01T00:00:00+00:00"


def test_a_period_in_which_nothing_happened_is_zeros_and_no_error(coordinator: Client) -> None:
    figures = coordinator.figures("week", p_day="2010-01-01")
    assert (figures["total_activities"], figures["distinct_contacts"], figures["proxy_share"]) == (0, 0, None)
    assert figures["activity_type_breakdown"] == {}


def test_nobody_of_another_organisation_is_in_the_figures_whatever_is_asked(
    programme: Programme, mentor: UUID, coordinator: Client, stranger: Programme
) -> None:
    programme.activity(mentor)
    programme.drain()
    strangers = [
        str(row["id"])
        for row in stranger.database.rows("select id from public.users where organization_id = %s", (stranger.id,))
    ]
    own = coordinator.figures(p_user_ids=[str(mentor)])
    assert coordinator.figures(p_user_ids=[str(mentor), *strangers]) == own
    nobody = coordinator.figures(p_user_ids=strangers)
    assert (nobody["total_activities"], nobody["distinct_contacts"], nobody["sum_of_contacts"]) == (0, 0, 0)
    assert nobody["organization_id"] == str(programme.id)


@pytest.mark.parametrize("function", ["team_statistics", "freeze_team_report"])
def test_only_active_staff_of_an_organisation_may_ask(
    programme: Programme, mentor: UUID, sign_in: Any, service: Client, address: tuple[str, Keys], function: str
) -> None:
    parameters: dict[str, Any] = {"p_period_type": "month"} | (
        {"p_title": "Report"} if function == "freeze_team_report" else {}
    )
    for client in (sign_in(mentor), sign_in(programme.person("servant"))):
        assert problem(client.call(function, **parameters)) == (403, "42501", "only_staff_read_team_statistics")
    assert problem(service.call(function, **parameters))[:2] == (403, "42501")
    anonymous = Client(_base(address[0]), address[1].publishable)
    assert problem(anonymous.call(function, **parameters))[:2] == (401, "42501")
    retired = programme.person("coordinator")
    client = sign_in(retired)
    programme.database.execute("update public.users set is_active = false where id = %s", (retired,))
    assert problem(client.call(function, **parameters))[0] == 403


@pytest.mark.parametrize("bad", [{"p_period_type": "decade"}, {"p_period_type": "month", "p_day": "2024-02-30"}])
def test_nonsense_asked_of_the_team_is_named(coordinator: Client, bad: dict[str, Any]) -> None:
    status, code, message = problem(coordinator.call("team_statistics", **bad))
    assert (status, code) in [(400, "22P02"), (400, "22008")]
    assert "decade" in message or "2024-02-30" in message


# --- A report for the funder ----------------------------------------------------------------------------------------


def test_a_frozen_report_stays_as_it_was_reported(programme: Programme, mentor: UUID, coordinator: Client) -> None:
    activity = programme.activity(mentor, "2024-05-14", programme.contact(), duration_minutes=60)
    programme.drain()
    answer = coordinator.call("freeze_team_report", p_title="May", p_period_type="month", p_day="2024-05-20")
    assert answer.status_code == 200, answer.text
    frozen = answer.json()
    assert frozen["total_duration_minutes"] == 60

    programme.change(activity, duration_minutes=90)
    programme.activity(mentor, "2024-05-15", programme.contact())
    programme.drain()
    assert coordinator.figures("month", p_day="2024-05-20")["total_duration_minutes"] == 120
    (report,) = coordinator.rows("team_reports")
    assert report["id"] == frozen["report_id"]
    assert report["figures"] == {name: value for name, value in frozen.items() if name != "report_id"}
    assert (report["title"], report["period_start"]) == ("May", "2024-05-01T00:00:00+00:00")

    programme.database.execute("delete from public.users where id = %s", (mentor,))
    assert coordinator.rows("team_reports") == [report]


def test_nothing_is_frozen_while_changes_wait_to_be_counted(
    programme: Programme, mentor: UUID, coordinator: Client, stranger: Programme
) -> None:
    programme.activity(mentor, "2024-05-14")
    refused = coordinator.call("freeze_team_report", p_title="May", p_period_type="month", p_day="2024-05-20")
    assert problem(refused) == (409, "PT409", "statistics_are_being_recomputed")
    assert coordinator.rows("team_reports") == []
    assert coordinator.figures()["is_being_recomputed"]
    programme.drain()
    stranger.activity(stranger.person())
    answer = coordinator.call("freeze_team_report", p_title="May", p_period_type="month", p_day="2024-05-20")
    assert answer.status_code == 200, "what waits in another organisation is nobody's business here"


def test_a_report_without_a_title_is_refused(coordinator: Client) -> None:
    answer = coordinator.call("freeze_team_report", p_title=" ", p_period_type="month")
    assert "report_title_is_not_blank" in problem(answer)[2]


def test_nobody_rewrites_a_report(programme: Programme, coordinator: Client, service: Client) -> None:
    programme.drain()
    assert coordinator.call("freeze_team_report", p_title="May", p_period_type="month").status_code == 200
    for client in (coordinator, service):
        answer = client.change("team_reports", {"figures": {}}, title="eq.May")
        assert problem(answer)[:2] == (403, "42501")


# --- Bufdir rules ---------------------------------------------------------------------------------------------------


def test_a_changed_rule_touches_exactly_the_activities_it_covers(
    programme: Programme, mentor: UUID, sign_in: Any
) -> None:
    admin = sign_in(programme.person("admin"))
    for at in ("2024-01-31 23:59:59", "2024-02-01", "2024-02-29 23:59:59", "2024-03-01"):
        programme.activity(mentor, at, duration_minutes=20)
    for start, minutes in (("2024-02-01", 30), ("2024-03-01", 10)):
        rule = {
            "organization_id": str(programme.id),
            "effective_from": start,
            "min_duration_minutes": minutes,
            "requires_contact": False,
            "requires_approval": False,
        }
        assert admin.insert("bufdir_rules", rule).status_code == 201
    programme.drain()
    assert programme.row(mentor)["bufdir_eligible_count"] == 1
    answer = admin.change("bufdir_rules", {"min_duration_minutes": 20}, effective_from="eq.2024-02-01")
    assert answer.status_code == 204
    marked = programme.database.rows("select distinct day from private.statistics_marks order by day")
    assert [str(row["day"]) for row in marked] == ["2024-02-01", "2024-02-29"]
    programme.drain()
    assert programme.row(mentor)["bufdir_eligible_count"] == 3
    assert programme.row(mentor, "month", "2024-02-01")["bufdir_eligible_count"] == 2
    programme.assert_right()


def test_eligibility_needs_duration_contact_and_approval_as_the_rule_says(programme: Programme, mentor: UUID) -> None:
    programme.database.execute(
        "insert into public.bufdir_rules values (%s, '2024-01-01', 30, true, true)", (programme.id,)
    )
    met = programme.contact()
    activity = programme.activity(mentor, "2024-05-14", met, duration_minutes=29, approval="approved")
    counts: list[int] = []
    for change in (
        {"duration_minutes": 30},
        {"approval": "rejected"},
        {"approval": "approved"},
        {"status": "cancelled"},
    ):
        programme.change(activity, **change)
        programme.drain()
        counts.append(programme.row(mentor)["bufdir_eligible_count"])
    programme.change(activity, status="completed")
    programme.database.execute("delete from public.contacts where id = %s", (met,))
    programme.drain()
    assert [*counts, programme.row(mentor)["bufdir_eligible_count"]] == [1, 0, 1, 0, 0]
    assert utc("2024-05-14") == programme.row(mentor)["last_activity_date"]
