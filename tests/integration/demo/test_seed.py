"""supabase/seed.sql: what a developer finds after `supabase start`."""

from pathlib import Path

import pytest

from tests.support.database import Database

SEED = (Path(__file__).parents[3] / "supabase" / "seed.sql").read_text(encoding="utf-8")
ORGANIZATION = "a77e0000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def seeded(database: Database) -> Database:
    database.execute(SEED)
    return database


def test_the_seed_can_be_run_again_and_changes_nothing(seeded: Database) -> None:
    tables = (
        *("organizations", "users", "contacts", "activities", "activity_contacts", "notification_preferences"),
        *("certificates", "user_coordinators", "scenario_rules", "scenario_rule_versions"),
    )

    def everything() -> list[object]:
        return [seeded.rows(f"select to_jsonb(t) as row from public.{table} t order by t") for table in tables]

    before = everything()
    seeded.execute(SEED)
    assert everything() == before


def test_the_seed_has_a_mentor_for_most_gates(seeded: Database) -> None:
    rows = seeded.rows(
        "select u.full_name, e ->> 'gate' as gate from"
        " jsonb_array_elements(public.dry_run_scenarios(%s, p_scenario => 'inactivity')) e"
        " join public.users u on u.id = (e ->> 'user_id')::uuid",
        (ORGANIZATION,),
    )
    assert {row["full_name"]: row["gate"] for row in rows} == {
        "Kari Coordinator": "not_matched",
        "Arne Active": "not_matched",
        "Kine Quiet": "would_send",
        "Nils Never-Active": "would_send",
        "Nora New": "not_matched",
        "Bodil Away": "away",
        "Odd Opted-Out": "opted_out",
        "Stine Stopped": "person_inactive",
    }


def test_the_seed_has_a_milestone_and_a_certificate_to_tell_of(seeded: Database) -> None:
    rows = seeded.rows(
        "select u.full_name, e ->> 'scenario' as scenario,"
        "  coalesce(e #>> '{detail,threshold}', e #>> '{detail,lead_days}') as reached"
        " from jsonb_array_elements(public.dry_run_scenarios(%s)) e"
        " join public.users u on u.id = (e ->> 'user_id')::uuid"
        " where e ->> 'gate' = 'would_send' and e ->> 'scenario' <> 'inactivity' order by 1, 2",
        (ORGANIZATION,),
    )
    assert [tuple(row.values()) for row in rows] == [
        ("Arne Active", "milestone", "2"),
        ("Kine Quiet", "certification_expiry", "30"),
    ]


def test_of_the_certificate_a_coordinator_hears(seeded: Database) -> None:
    evaluate = "select public.evaluate_people(%s, array(select id from public.users where organization_id = %s))"
    seeded.execute(evaluate, (ORGANIZATION, ORGANIZATION))
    rows = seeded.rows(
        "select u.full_name, n.scenario from public.notifications n join public.users u on u.id = n.user_id"
        " where n.about_user_id is not null"
    )
    assert [tuple(row.values()) for row in rows] == [("Kari Coordinator", "certification_expiry")]
