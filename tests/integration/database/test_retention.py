"""Housekeeping beside whoever works on what is old: it waits for nobody, and leaves theirs to the next night."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.database import Database
from tests.support.outbox import Outbox
from tests.support.races import answer

# What is swept, by its name in the answer: the table, and what makes a row of it that may go.
SWEPT = {
    "webhook_deliveries": ("private.webhook_deliveries", "insert into private.webhook_deliveries values ('w', '{}')"),
    "findings": (
        "public.statistics_warnings",
        """insert into public.statistics_warnings (organization_id, user_id, rule, details)
           select organization_id, id, 'old', '{}' from public.users""",
    ),
    "outbox": ("private.outbox", "update private.outbox set state = 'sent'"),
    "held_decisions": (
        "private.held_decisions",
        """insert into private.held_decisions
             (organization_id, user_id, subject, scenario, rule_id, rule_version, gate, decided_at)
           select u.organization_id, u.id, '', 'inactivity', r.id, r.version, 'opted_out', now()
           from public.users u join public.scenario_rules r on r.organization_id = u.organization_id""",
    ),
    "invitations": (
        "public.invitations",
        """insert into public.invitations (organization_id, user_id, email, expires_at)
           select organization_id, id, 'a@x.test', now() + interval '1 day' from public.users""",
    ),
    "notifications": (
        "public.notifications",
        "update public.notifications set scenario = 'milestone', read_at = now()",
    ),
}


@pytest.fixture
def outbox(database: Database) -> Iterator[Outbox]:
    """Somebody who was told something."""
    outbox = Outbox(database)
    database.execute(
        "insert into public.scenario_rules (organization_id, type, name, is_enabled)"
        " values (%s, 'inactivity', 'q', true)",
        (outbox.id,),
    )
    outbox.push(*outbox.people(1))
    yield outbox
    outbox.remove()


@pytest.mark.parametrize("name", SWEPT)
@pytest.mark.usefixtures("outbox")
def test_a_row_that_somebody_holds_is_left_and_not_waited_for(database: Database, name: str) -> None:
    table, make = SWEPT[name]
    database.execute("delete from private.webhook_deliveries")
    database.execute(make)
    sweep = "select private.sweep_expired('{}', 5000, now() + interval '20 years')"
    with database.connect(autocommit=False) as holder, database.connect() as night:
        night.execute("set lock_timeout = '1s'")
        holder.execute(f"select from {table} for update".encode())
        assert answer(night, sweep)[name] == 0
        holder.rollback()
        assert answer(night, sweep)[name] == 1
