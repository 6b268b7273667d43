"""`supabase/schemas` is the truth and `supabase/migrations` the delivery: both make the same database."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest

from tests.conftest import on_real_stack
from tests.support import database as databases
from tests.support.schemas import SUPABASE, apply_schemas, describe, schema_files

pytestmark = pytest.mark.skipif(on_real_stack(), reason="a real stack gives no empty database to apply the files to")


@pytest.fixture(scope="module")
def from_schemas(cluster: databases.Server) -> Iterator[databases.Database]:
    database = databases.clone_database(cluster, databases.PRISTINE, "from_schemas")
    apply_schemas(cluster, database.name)
    yield database
    databases.drop_database(database)


def test_schemas_and_migrations_make_the_same_database(
    cluster: databases.Server, database: databases.Database, from_schemas: databases.Database
) -> None:
    by_migrations, by_schemas = (describe(cluster, name) for name in (database.name, from_schemas.name))
    assert len(by_schemas) > 500
    assert by_migrations == by_schemas


def test_the_comparison_notices_a_single_changed_word(
    cluster: databases.Server, from_schemas: databases.Database
) -> None:
    before = describe(cluster, from_schemas.name)
    changes = (
        "comment on table public.users is 'Somebody.'",
        "grant truncate on public.users to anon",
        "alter function private.local_date(timestamptz, text) reset search_path",
        "drop trigger activities_mark_statistics_truncated on public.activities",
        "update private.schedules set expected_interval = interval '1 hour' where name = 'scenario-evaluation'",
        "select cron.schedule('attend-scenario-sweep', '*/2 * * * *', 'select 1')",
    )
    for change in changes:
        changed = databases.clone_database(cluster, from_schemas.name, "changed")
        changed.execute(change)
        changed.close()
        after = describe(cluster, changed.name)
        databases.drop_database(changed)
        assert after != before, change


def test_every_schema_file_has_its_place_in_the_order() -> None:
    assert sorted(schema_files()) == sorted((SUPABASE / "schemas").rglob("*.sql"))


def test_the_configuration_names_the_schema_files_in_the_same_order() -> None:
    config = tomllib.loads((SUPABASE / "config.toml").read_text())
    patterns = config["db"]["migrations"]["schema_paths"]
    named = [file for pattern in patterns for file in sorted(SUPABASE.glob(pattern.removeprefix("./")))]
    assert named == schema_files()


def test_every_feature_has_its_migration_and_those_delivered_together_are_in_order() -> None:
    features = [path.name.split("_", 1)[1] for path in sorted((SUPABASE / "schemas").iterdir()) if path.is_dir()]
    delivered = [path.stem.split("_", 1) for path in sorted((SUPABASE / "migrations").glob("*.sql"))]
    # The panel's is called after its function, engagement-panel.
    assert [f for f in features if not any(name.endswith(f) for _, name in delivered)] == []
    first = [name for version, name in delivered if version < "20261121"]
    assert first == [feature for feature in features if feature in first]
