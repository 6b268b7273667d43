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
    tables = ("organizations", "users", "contacts", "activities", "activity_contacts", "notification_preferences")

    def everything() -> list[object]:
        return [seeded.rows(f"select t.* from public.{table} t order by t") for table in (*tables, "scenario_rules")]

    before = everything()
    seeded.execute(SEED)
    assert everything() == before


def test_the_seed_has_a_mentor_for_most_gates(seeded: Database) -> None:
    rows = seeded.rows(
        "select u.full_name, e ->> 'gate' as gate from jsonb_array_elements(public.dry_run_scenarios(%s)) e"
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
