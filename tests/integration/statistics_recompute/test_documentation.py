"""docs/statistics.md: its example runs as it stands, and what it says of the API's refusals is so."""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from postgrest import APIError

from attend.stack.keys import Keys
from functions.statistics_recompute.engine import StatisticsRecompute
from supabase import Client
from tests.support.database import Database
from tests.support.served import ROOT, Api
from tests.support.team import NOW, Team

TODAY = NOW.date().isoformat()


@pytest.fixture(scope="module")
def example() -> SimpleNamespace:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "statistics.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return SimpleNamespace(**names)


type SignIn = Callable[[UUID, str], Client]


@pytest.fixture
def sign_in(
    monkeypatch: pytest.MonkeyPatch, api: Api, example: SimpleNamespace, team: Team, database: Database
) -> SignIn:
    keys = Keys()
    monkeypatch.setenv("SUPABASE_URL", api.url)
    monkeypatch.setenv("SUPABASE_PUBLISHABLE_KEY", keys.publishable)

    def sign_in(user_id: UUID, role: str) -> Client:
        login = uuid4()
        database.execute("update public.users set role = %s::public.user_role where id = %s", (role, user_id))
        database.execute("insert into auth.users (id) values (%s)", (login,))
        database.execute(
            "insert into public.user_logins (auth_user_id, organization_id, user_id) values (%s, %s, %s)",
            (login, team.id, user_id),
        )
        return example.connect(keys.user_token(str(login)))

    return sign_in


# The token of a real project is its auth service's to make.
@pytest.mark.embedded
async def test_the_example_shows_a_persons_weeks_and_the_teams_month(
    example: SimpleNamespace, sign_in: SignIn, recompute: StatisticsRecompute, team: Team
) -> None:
    mentor, other, staff = team.mentors(3, 0)
    team.activity(mentor)
    team.activity(other)
    await recompute.drain()
    own = sign_in(mentor, "peer_mentor")
    (week,) = example.latest_weeks(own, str(mentor))
    assert (week["total_activities"], week["streak_days"], week["is_being_recomputed"]) == (1, 1, False)
    assert example.latest_weeks(own, str(other)) == []
    coordinator = sign_in(staff, "coordinator")
    assert example.team_month(coordinator, TODAY)["total_activities"] == 2
    assert example.report_month(coordinator, TODAY, "For the funder")["active_people"] == 2


@pytest.mark.embedded
async def test_a_waiting_change_shows_and_holds_back_a_report(
    example: SimpleNamespace, sign_in: SignIn, recompute: StatisticsRecompute, team: Team
) -> None:
    mentor = team.mentor()
    team.activity(mentor)
    await recompute.drain()
    client = sign_in(mentor, "coordinator")
    team.activity(mentor)
    assert example.latest_weeks(client, str(mentor))[0]["is_being_recomputed"]
    with pytest.raises(APIError) as refused:
        example.report_month(client, TODAY, "Too early")
    assert refused.value.message == "statistics_are_being_recomputed"
    await recompute.drain()
    assert example.report_month(client, TODAY, "Now")["total_activities"] == 2


@pytest.mark.parametrize(
    ("changed", "status", "rule"),
    [
        ({"occurred_at": "1969-12-31T23:59:59Z"}, 400, "occurred_at_is_not_before_1970"),
        ({"occurred_at": "2999-01-01T00:00:00Z"}, 400, "completed_is_not_in_the_future"),
        ({"duration_minutes": -1}, 400, "duration_is_between_zero_and_a_week"),
    ],
)
def test_wrong_input_is_refused_by_the_name_of_the_rule(
    api: Api, team: Team, changed: dict[str, Any], status: int, rule: str
) -> None:
    person = {"organization_id": str(team.id), "user_id": str(team.mentor())}
    activity = {"activity_type_id": "home-visit", "occurred_at": NOW.isoformat(), **person, **changed}
    answer = httpx.post(f"{api.url}/rest/v1/activities", json=activity, headers={"apikey": api.key})
    assert (answer.status_code, answer.json()["code"]) == (status, "23514")
    assert rule in answer.json()["message"]
    assert team.marks() == 0


def test_somebody_of_another_organisation_is_refused_by_name(api: Api, team: Team, database: Database) -> None:
    elsewhere = Team(database)
    row = {"organization_id": str(team.id), "user_id": str(elsewhere.mentor()), "period_type": "all_time"}
    answer = httpx.post(f"{api.url}/rest/v1/activity_statistics", json=row, headers={"apikey": api.key})
    database.execute("delete from public.organizations where id = %s", (elsewhere.id,))
    assert (answer.status_code, answer.json()["code"]) == (409, "23503")
    assert "user_belongs_to_organization" in answer.json()["message"]
