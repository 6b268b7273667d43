"""`attend doctor` on a whole stack: the API, the functions and their signature, clocks; and that it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from attend.doctor import reach
from attend.stack import vault
from tests.integration.health.conftest import CARE, Installation
from tests.support.command import Attend
from tests.support.gateway import running_gateway
from tests.support.receiver import Receiver
from tests.support.served import Api, Process, starting

pytestmark = pytest.mark.embedded

ALL = {"pastoral-cases", "push-notification-dispatcher", "scenario-trigger-engine", "statistics-recompute"}


def found(attend: Attend, installation: Installation, *options: str) -> dict[str, list[str]]:
    """Errors and warnings: what is said, by code. The form for people says the same."""
    ran = attend("doctor", "--db-url", installation.stack.db_url, "--no-compare", "--json", *options)
    answer = json.loads(ran.out)
    bad = [finding for finding in answer["findings"] if finding["severity"] != "note"]
    assert (ran.status, answer["status"]) == ((1, "findings") if bad else (0, "well"))
    said: dict[str, list[str]] = {}
    for finding in bad:
        said.setdefault(finding["code"], []).append(finding["says"])
    return said


@pytest.fixture
def at(installation: Installation) -> Callable[[str], None]:
    """Where Vault says that the functions are."""

    def at(url: str) -> None:
        with installation.database.connect() as connection:
            vault.upsert(connection, vault.FUNCTIONS_URL, url)

    return at


@pytest.fixture
def start(installation: Installation, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    api = Api(installation.stack.api_url, installation.stack.keys.secret)
    with starting("pastoral_cases", api, tmp_path) as start:
        yield start


def test_an_installation_as_it_should_be(attend: Attend, installation: Installation) -> None:
    ran = attend("doctor", "--db-url", installation.stack.db_url)
    assert ran.status == 0, ran.out
    checks = [line.partition("  ")[0] for line in ran.out.splitlines() if line.endswith("as it should be")]
    assert checks == [
        *("extensions", "migrations", "settings", "clocks", "vault", "grants", "row-level security"),
        *("definitions", "api", "functions", "health"),
    ]


def test_it_changes_nothing_and_shows_no_secret(attend: Attend, installation: Installation) -> None:
    tables = installation.database.rows(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables"
        " where schemaname in ('public', 'private', 'vault', 'cron', 'auth')"
    )

    def state() -> dict[str, str]:
        return {
            table["name"]: installation.database.value(
                f"select coalesce(md5(string_agg(t::text, ' ' order by t::text)), '') from {table['name']} t"
            )
            for table in tables
        }

    installation.mark()
    before = state()
    shown = [attend("doctor", "--db-url", installation.stack.db_url, "--no-compare", *o) for o in ((), ("--json",))]
    assert state() == before
    for secret in (installation.stack.webhook_secret, installation.stack.keys.secret, installation.stack.db_url):
        assert all(secret not in ran.out + ran.err for ran in shown)


def test_a_function_that_does_not_answer(attend: Attend, installation: Installation) -> None:
    installation.freeze(CARE)
    try:
        assert found(attend, installation) == {
            "function_unreachable": [f"The database does not reach {CARE}: timeout."]
        }
    finally:
        installation.thaw(CARE)


def test_functions_that_have_another_secret(attend: Attend, installation: Installation) -> None:
    with installation.database.connect() as connection:
        vault.upsert(connection, vault.WEBHOOK_SECRET, "whsec_" + "QUJD" * 11)
    said = found(attend, installation)
    assert said.keys() == {"function_refuses_signature"}
    assert len(said["function_refuses_signature"]) == len(ALL)


def test_an_address_at_which_nobody_is(attend: Attend, installation: Installation, at: Callable[[str], None]) -> None:
    at("http://127.0.0.1:1/functions/v1")
    said = found(attend, installation)
    assert said == {"function_unreachable": [f"The database does not reach {name}: connect." for name in sorted(ALL)]}


def test_an_address_at_which_somebody_else_is_and_whose_clock_is_wrong(
    attend: Attend, installation: Installation, at: Callable[[str], None]
) -> None:
    receiver = Receiver(ahead_seconds=600)
    try:
        at(receiver.url("/x"))
        said = found(attend, installation)
    finally:
        receiver.close()
    assert said["function_unreachable"][0] == f"At the address of {CARE} somebody answers 200."
    assert said.keys() == {"function_unreachable", "clock_skew_refuses"}
    assert "ahead of the database's" in said["clock_skew_refuses"][0]


def test_a_signature_that_is_lost_on_the_way(
    attend: Attend, installation: Installation, at: Callable[[str], None]
) -> None:
    """A function says in short that it is well to whoever does not sign, and refuses such a bell."""
    receiver = Receiver(content=httpx.get(f"{installation.stack.functions_url}/{CARE}/health/deep").json())
    try:
        at(receiver.url("/x"))
        said = found(attend, installation)
    finally:
        receiver.close()
    assert said["function_refuses_signature"] == [f"What is signed reaches {CARE} without its signature."]


def test_a_function_that_does_not_reach_the_database(
    attend: Attend, installation: Installation, at: Callable[[str], None], start: Callable[..., Process]
) -> None:
    lost = start(SUPABASE_URL="http://127.0.0.1:1", ATTEND_WEBHOOK_SECRET=installation.stack.webhook_secret)
    at(lost.url)
    said = found(attend, installation)
    assert said["function_without_database"] == [f"{CARE} does not reach the API: database_unavailable."]
    # The other two are not at this address at all.
    assert len(said["function_not_there"]) == len(ALL) - 1


def test_a_function_that_lacks_a_setting(
    attend: Attend, installation: Installation, at: Callable[[str], None], start: Callable[..., Process]
) -> None:
    at(start(ATTEND_WEBHOOK_SECRET="", SUPABASE_URL=installation.stack.api_url).url)
    assert found(attend, installation)["function_lacks_setting"] == [f"{CARE}: setting_missing, ATTEND_WEBHOOK_SECRET."]


def test_a_pg_net_that_sends_nothing(attend: Attend, installation: Installation) -> None:
    installation.freeze("background")
    try:
        assert found(attend, installation).keys() == {"net_not_sending"}
    finally:
        installation.thaw("background")


@pytest.mark.parametrize(
    ("minutes", "code"), [(1, "clock_skew"), (-1, "clock_skew"), (5, "clock_skew_refuses"), (-5, "clock_skew_refuses")]
)
def test_a_clock_of_this_machine_that_is_wrong(installation: Installation, minutes: float, code: str) -> None:
    with psycopg.connect(installation.stack.db_url) as connection:
        (finding,) = reach.clocks(connection, lambda: datetime.now(UTC) + timedelta(minutes=minutes))
        assert list(reach.clocks(connection)) == []
    assert (finding.code, f"{abs(minutes) * 60:.0f} seconds" in finding.says) == (code, True)
    assert ("ahead" in finding.says) == (minutes > 0)


def test_a_schema_that_is_exposed_and_one_that_is_not(attend: Attend, installation: Installation) -> None:
    login = installation.stack.dsn("authenticator")
    with running_gateway(login, schemas=("public", "mgmt", "private", "vault")) as url:
        said = found(attend, installation, "--api-url", url)
    assert said == {"schema_exposed": [f"The API exposes the schema {schema}." for schema in ("private", "vault")]}
    with running_gateway(login, schemas=("public",)) as url:
        said = found(attend, installation, "--api-url", url)
    assert said == {"schema_not_exposed": ["The API does not expose the schema mgmt."]}
    with running_gateway(login, schemas=("graphql_public",)) as url:
        said = found(attend, installation, "--api-url", url)
    assert said.keys() == {"api_outdated", "schema_not_exposed"}


def test_an_api_that_is_not_there_or_refuses_the_key(
    attend: Attend, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(attend, installation, "--api-url", "http://127.0.0.1:1").keys() == {"api_unreachable"}
    monkeypatch.setenv("SUPABASE_SECRET_KEY", installation.stack.keys.publishable)
    assert found(attend, installation).keys() == {"api_refuses_key"}


@pytest.mark.parametrize("answer", [[], [1], {"received": True}])
def test_somebody_else_at_the_address_of_the_api(attend: Attend, installation: Installation, answer: object) -> None:
    """Whatever is asked there is answered: that exposes no schema."""
    receiver = Receiver(content=answer)
    try:
        said = found(attend, installation, "--api-url", receiver.url())
    finally:
        receiver.close()
    assert said.keys() == {"api_unreachable"}


def test_what_health_finds_is_found(attend: Attend, installation: Installation) -> None:
    job = installation.forget_job("scenario-tick")
    try:
        said = found(attend, installation)
    finally:
        installation.schedule_job(job)
    assert said == {"job_missing": ["schedule scenario-tick: Its job is gone from pg_cron, so nothing starts it."]}


def test_the_running_stack_of_a_folder_is_found_without_a_word(
    attend: Attend, installation: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "config.toml").touch()
    (tmp_path / ".attend").symlink_to(installation.stack.directory)
    monkeypatch.chdir(tmp_path)
    for variable in ("DB_URL", "SUPABASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    assert attend("doctor", "--no-compare").status == 0
    assert attend("doctor", "--no-compare", "--project", str(tmp_path)).status == 0
    # Not where another project is meant, of which half is known.
    monkeypatch.setenv("SUPABASE_URL", "https://ref.test")
    ran = attend("doctor", "--no-compare")
    assert (ran.status, ran.out) == (2, "")
    assert "not where its database is" in ran.err
    ran = attend("doctor", "--no-compare", "--project", str(tmp_path))
    assert (ran.status, f"Doctor at 127.0.0.1:{installation.stack.db_url.rpartition(':')[2]}" in ran.err) == (0, True)
