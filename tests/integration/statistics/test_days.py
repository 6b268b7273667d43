"""However many days of a person change at once: few are computed in one way, many in another, and both are right."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.statistics.conftest import Programme

FIRST = date(2024, 1, 1)
LENGTH = 120
TODAY = "2024-04-30 12:00"
days = st.integers(0, LENGTH - 1)
# Long runs with a few gaps, a few days alone, and anything between.
histories = st.one_of(st.sets(days), st.sets(days, max_size=6).map(lambda gaps: set(range(LENGTH)) - gaps))


@pytest.fixture
def contacts(programme: Programme) -> list[UUID]:
    return [programme.contact() for _ in range(3)]


@pytest.mark.parametrize("most", [4, LENGTH], ids=["few", "many"])
@settings(
    max_examples=20,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_days_that_are_gained_and_lost_together_leave_every_figure_and_streak_right(
    programme: Programme, contacts: list[UUID], most: int, data: st.DataObject
) -> None:
    before = data.draw(histories, "before")
    changed = data.draw(st.sets(days, min_size=min(most, 40), max_size=most), "changed")
    programme.database.execute("delete from public.users")
    programme.database.execute("delete from public.bufdir_rules")
    mentor = programme.person()
    for since in data.draw(st.sets(days, max_size=3), "rules"):
        programme.database.execute(
            "insert into public.bufdir_rules values (%s, %s, %s, %s, %s)",
            (programme.id, FIRST + timedelta(days=since), 30, since % 2 == 0, since % 3 == 0),
        )
    _log(programme, mentor, contacts, before)
    programme.drain(TODAY)
    _erase(programme, mentor, before & changed)
    _log(programme, mentor, contacts, changed - before)
    programme.drain(TODAY)
    programme.assert_right(TODAY)


def _log(programme: Programme, mentor: UUID, contacts: list[UUID], on: set[int]) -> None:
    """Two activities a day, of different types, lengths and approvals, one of them with somebody on most days."""
    programme.database.execute(
        """
        with logged as (
          insert into public.activities
            (organization_id, user_id, activity_type_id, occurred_at, duration_minutes, approval)
          select %s, %s, (array['home-visit', 'phone-call', 'group-meeting'])[1 + (n + k) %% 3],
            (%s::date + make_interval(days => n, hours => 23 * k)) at time zone 'UTC', 25 + n %% 7 * k,
            (array['approved', 'pending'])[1 + n %% 2]::public.approval_status
          from unnest(%s::integer[]) n cross join generate_series(0, 1) k
          returning organization_id, id, duration_minutes
        )
        insert into public.activity_contacts
        select l.organization_id, l.id, (%s::uuid[])[1 + l.duration_minutes %% 3] from logged l
        where l.duration_minutes > 25
        """,
        (programme.id, mentor, FIRST, list(on), contacts),
    )


def _erase(programme: Programme, mentor: UUID, on: set[int]) -> None:
    programme.database.execute(
        "delete from public.activities where user_id = %s and (occurred_at at time zone 'UTC')::date = any (%s)",
        (mentor, [FIRST + timedelta(days=n) for n in on]),
    )
