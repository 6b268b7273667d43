"""What makes no sense is refused with what is allowed, whoever writes it and by whatever way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from attend.stack.keys import Keys
from tests.support.congregation import Congregation
from tests.support.database import Database
from tests.support.served import api_of

# The token of a real project is its auth service's to make.
pytestmark = pytest.mark.embedded

_KEYS = Keys()
ZONE = "the name of a time zone, such as Europe/Oslo or UTC"
QUIET = 'two local times that differ, such as {"from": "21:00", "to": "08:00"}'
SCENARIOS = "all, inactivity, milestone, certification_expiry, pastoral_case"
SETTINGS = [
    ("notification_daily_cap", 0, "a whole number from 1 to 100"),
    ("notification_daily_cap", 101, "a whole number from 1 to 100"),
    ("quiet_hours", {"from": "21:00", "to": "21:00"}, QUIET),
    ("quiet_hours", {"from": "21:00"}, QUIET),
    ("absence_alert_threshold", -1, "a whole number from 1 to 9999"),
    ("recase_after_days", 0, "a whole number from 1 to 999"),
    ("push_deadline_hours", 169, "a whole number from 1 to 168"),
    ("panel_time_zone", "Mars/Olympus", 'the name of a time zone, such as "America/Guayaquil"'),
    ("language", "norsk bokmål", 'a BCP 47 tag, such as "nb" or "es-MX"'),
    (" ", 1, "any value, under a key that is not blank"),
]
PREFERENCES = [
    ({"scenario": "weather", "is_enabled": False}, "preference_scenario_is_known", SCENARIOS),
    ({"scenario": "all", "channel": "pigeon", "is_enabled": False}, "preference_channel_is_known", "all, push"),
]
RULES = [
    ({"type": "pastoral_case"}, "rule_type_is_known", "inactivity, milestone, certification_expiry"),
    ({"type": "milestone", "metric": "smiles"}, "metric_is_known", "sessions, hours, contacts"),
    ({"type": "milestone", "period": "moon"}, "period_is_known", "year, all_time"),
    ({"type": "milestone", "activation": "maybe"}, "activation_is_known", "skip, all, spread"),
]


@dataclass
class Office:
    """An organisation with an admin and a person, who write by the API."""

    url: str
    organization: Congregation

    def write(self, who: UUID, method: str, path: str, body: object) -> httpx.Response:
        token = _KEYS.user_token(str(self.organization.login(who)))
        headers = {"apikey": _KEYS.publishable, "authorization": f"Bearer {token}"}
        return httpx.request(method, f"{self.url}/rest/v1/{path}", json=body, headers=headers, timeout=20)


@pytest.fixture(scope="module")
def url(database: Database) -> Iterator[str]:
    with api_of(database) as api:
        yield api.url


@pytest.fixture
def office(url: str, database: Database) -> Office:
    return Office(url, Congregation(database))


def by_api(answer: httpx.Response) -> tuple[int, str, str, str]:
    body = answer.json()
    return answer.status_code, body["code"], body["message"].split('"')[-2], body["hint"]


def by_sql(database: Database, table: str, columns: dict[str, object]) -> tuple[str | None, str | None, str | None]:
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier("public", table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
    )
    with database.connect() as connection, pytest.raises(psycopg.errors.CheckViolation) as refusal:
        connection.execute(statement, list(columns.values()))
    diagnosis = refusal.value.diag
    return diagnosis.table_name, diagnosis.constraint_name, diagnosis.message_hint


@pytest.mark.parametrize(("key", "value", "allowed"), SETTINGS)
def test_a_setting_that_makes_no_sense(
    office: Office, database: Database, key: str, value: object, allowed: str
) -> None:
    row = {"organization_id": str(office.organization.id), "key": key, "value": value}
    answer = office.write(office.organization.admin, "POST", "org_settings_kv", row)
    assert by_api(answer) == (400, "23514", "setting_value_fits_its_key", f"Allowed: {allowed}.")
    assert by_sql(database, "org_settings_kv", {**row, "value": Jsonb(value)}) == (
        "org_settings_kv",
        "setting_value_fits_its_key",
        f"Allowed: {allowed}.",
    )


@pytest.mark.parametrize(("columns", "constraint", "allowed"), PREFERENCES)
def test_a_preference_for_what_does_not_exist(
    office: Office, database: Database, columns: dict[str, object], constraint: str, allowed: str
) -> None:
    who = office.organization.servant
    row = {"organization_id": str(office.organization.id), "user_id": str(who), **columns}
    answer = office.write(who, "POST", "notification_preferences", row)
    assert by_api(answer) == (400, "23514", constraint, f"Allowed: {allowed}.")
    assert by_sql(database, "notification_preferences", row) == (
        "notification_preferences",
        constraint,
        f"Allowed: {allowed}.",
    )


@pytest.mark.parametrize(("columns", "constraint", "allowed"), RULES)
def test_a_rule_that_its_own_table_is_given(
    office: Office, database: Database, columns: dict[str, object], constraint: str, allowed: str
) -> None:
    row = {"organization_id": office.organization.id, "name": "R", "is_enabled": False, **columns}
    assert by_sql(database, "scenario_rules", row) == ("scenario_rules", constraint, f"Allowed: {allowed}.")


def test_a_time_zone_that_does_not_exist(office: Office, database: Database) -> None:
    who, zone = office.organization.servant, "Mars/Olympus"
    answer = office.write(who, "PATCH", f"users?id=eq.{who}", {"time_zone": zone})
    assert by_api(answer) == (400, "23514", "user_time_zone_is_known", f"Allowed: {ZONE}.")
    someone = {"organization_id": office.organization.id, "full_name": "A", "role": "admin", "time_zone": zone}
    assert by_sql(database, "users", someone) == ("users", "user_time_zone_is_known", f"Allowed: {ZONE}.")
    assert by_sql(database, "organizations", {"name": "A", "time_zone": zone}) == (
        "organizations",
        "organization_time_zone_is_known",
        f"Allowed: {ZONE}.",
    )


def test_what_is_refused_says_nothing_else_of_the_row(office: Office) -> None:
    row = {"organization_id": str(office.organization.id), "key": "quiet_hours", "value": [7]}
    answer = office.write(office.organization.admin, "POST", "org_settings_kv", row)
    assert answer.json()["details"] == '{"value": {"quiet_hours": [7]}, "allowed": "' + QUIET.replace('"', '\\"') + '"}'


def test_every_setting_that_has_a_range_says_it(database: Database) -> None:
    body = database.value("select prosrc from pg_proc where proname = 'is_setting_valid'")
    keys = [line.split("'")[1] for line in body.splitlines() if line.strip().startswith("when '")]
    assert len(keys) > 10
    of_others = database.value("select private.allowed_setting('no such key')")
    said = database.rows("select k as key, private.allowed_setting(k) as allowed from unnest(%s::text[]) k", (keys,))
    assert [row["key"] for row in said if row["allowed"] == of_others] == []
