"""Each fault on a whole stack, and what `attend health` says of it: by name, with what to do, until it is mended."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from attend.stack import vault
from attend.stack.processes import wait_until
from shared.webhooks import parse_secrets, sign
from tests.integration.health.conftest import CARE, Installation
from tests.support.command import Attend
from tests.support.organisation import Organisation
from tests.support.receiver import Receiver
from tests.support.team import Team

pytestmark = pytest.mark.embedded

WELL = 0
FINDINGS = 1
NOT_REACHABLE = 2


def found(attend: Attend, again: int = 2) -> set[str]:
    """Codes of the errors and warnings, as "code name"; the text for people must say the same, and what to do."""
    ran, told = attend("health", "--json"), attend("health")
    answer = json.loads(ran.out)
    rows: list[dict[str, Any]] = [row for row in answer["rows"] if row["severity"] in {"error", "warning"}]
    said = [
        text
        for row in rows
        for text in (f"{row['finding']}: {row['part']} {row['name']}", f"Do: {row['remedy']}", row["runbook"])
    ]
    unsaid = [text for text in said if text not in told.out]
    if again and (told.status, unsaid) != (ran.status, []):
        # What waits may have gone between the two.
        return found(attend, again - 1)
    assert (ran.status, answer["status"]) == ((FINDINGS, "findings") if rows else (WELL, "well"))
    assert (told.status, unsaid) == (ran.status, [])
    return {f"{row['finding']} {row['name']}" for row in rows}


def test_an_installation_that_is_well_says_so_with_every_schedule_and_function(
    attend: Attend, installation: Installation
) -> None:
    assert installation.is_handled(installation.ring())
    assert found(attend) == set()
    told = attend("health").out
    assert told.startswith("Attend is well: 1 note.\n")
    assert "heartbeat_off" in told
    names = [row["name"] for row in installation.database.rows("select name from private.schedules")]
    assert all(f"\n{name} " in told for name in [*names, CARE, "scenario_marks", "outbox"])
    (row,) = [
        r for r in json.loads(attend("health", "--json").out)["rows"] if (r["part"], r["name"]) == ("function", CARE)
    ]
    assert (row["figures"]["rung"], row["figures"]["handled"], row["figures"]["unanswered"]) == (1, 1, 0)


def test_a_job_that_is_gone_from_cron(attend: Attend, installation: Installation) -> None:
    job = installation.forget_job("scenario-tick")
    assert found(attend) == {"job_missing scenario-tick"}
    installation.schedule_job(job)
    assert found(attend) == set()


def test_a_job_that_is_switched_off(attend: Attend, installation: Installation) -> None:
    switch = "select cron.alter_job(jobid, active := %s) from cron.job where jobname = 'attend-care-sweep'"
    installation.database.execute(switch, (False,))
    assert found(attend) == {"job_disabled care-sweep"}
    installation.database.execute(switch, (True,))
    assert found(attend) == set()


def test_a_cron_that_stands_still_and_what_is_late_for_it(attend: Attend, installation: Installation) -> None:
    installation.minutes_pass(6)
    late = {"scenario-tick", "scenario-sweep", "statistics-sweep", "care-sweep"}
    assert found(attend) >= {"cron_silent cron"} | {f"schedule_late {name}" for name in late}
    # With the scheduler back, the minutes that were missed need no repair.
    installation.stack.set_cron(True)
    assert wait_until(lambda: "cron_silent cron" not in found(attend), 75, 1)
    installation.stack.set_cron(False)


def test_one_schedule_that_is_late_while_the_others_run(attend: Attend, installation: Installation) -> None:
    installation.database.execute(
        "update private.schedules set last_started_at = now() - interval '4 minutes' where name = 'scenario-tick'"
    )
    assert found(attend) == {"schedule_late scenario-tick"}
    installation.run_job("scenario-tick")
    assert found(attend) == set()


def test_a_function_that_is_down_while_it_is_rung(attend: Attend, installation: Installation) -> None:
    assert installation.is_handled(installation.ring())
    installation.freeze(CARE)
    try:
        installation.minutes_pass(5)
        installation.database.execute("update private.schedules set last_started_at = now(), last_succeeded_at = now()")
        assert installation.ring()
        last = installation.ring()
        installation.database.execute("update private.rings set rung_at = rung_at - interval '3 minutes'")
        installation.mark()
        installation.database.execute("update private.care_marks set marked_at = now() - interval '10 minutes'")
        assert installation.is_sent()
        assert found(attend) == {f"function_silent {CARE}", "marks_old care_marks"}
    finally:
        installation.thaw(CARE)
    assert installation.is_handled(last)
    assert wait_until(lambda: installation.database.value("select count(*) from private.care_marks") == 0, 10)
    assert found(attend) == set()


@pytest.mark.parametrize("name", [vault.FUNCTIONS_URL, vault.WEBHOOK_SECRET])
def test_a_secret_of_bells_that_is_missing_or_a_placeholder(
    attend: Attend, installation: Installation, name: str
) -> None:
    installation.database.execute("delete from vault.secrets where name = %s", (name,))
    assert found(attend) == {"bell_secret_missing vault"}
    assert installation.ring() is None
    with installation.database.connect() as connection:
        vault.upsert(connection, name, f"env({name.upper()})")
    assert found(attend) == {"bell_secret_malformed vault"}
    installation.get_well()
    assert found(attend) == set()


def test_a_sweep_that_cannot_ring_starts_and_does_not_succeed(attend: Attend, installation: Installation) -> None:
    installation.database.execute("delete from vault.secrets where name = %s", (vault.WEBHOOK_SECRET,))
    installation.mark()
    installation.minutes_pass(4.5)
    for name in ("scenario-tick", "scenario-sweep", "statistics-sweep", "push-sweep", "care-sweep"):
        installation.run_job(name)
    assert found(attend) == {"bell_secret_missing vault", "schedule_failing care-sweep"}


def test_calls_that_pg_net_does_not_send(attend: Attend, installation: Installation) -> None:
    installation.freeze("background")
    try:
        bell = installation.ring()
        installation.database.execute("update private.rings set rung_at = rung_at - interval '61 seconds'")
        assert found(attend) == {"net_queue_standing pg_net"}
    finally:
        installation.thaw("background")
    assert installation.is_handled(bell)
    assert found(attend) == set()


def test_somebody_whose_evaluation_fails(attend: Attend, installation: Installation) -> None:
    """A trigger of the project's own on notifications, as a real one would be."""
    organisation = Organisation(installation.database)
    installation.database.execute(
        "create function public.their_own() returns trigger language plpgsql as $$ begin perform 1 / 0; end; $$;"
        "create trigger their_own before insert on public.notifications"
        " for each row execute function public.their_own()"
    )
    try:
        organisation.mentor(quiet_days=30)
        rows = "select count(*) from private.quarantine"
        assert wait_until(lambda: installation.database.value(rows) == 1, 20)
    finally:
        installation.database.execute("drop function public.their_own() cascade")
    assert found(attend) == {"quarantine_filled quarantine"}
    installation.database.execute("select public.retry_quarantine(%s)", (organisation.id,))
    assert found(attend) == set()


def finished(installation: Installation, kind: str) -> bool:
    """Whether a run that is asked for now is finished soon."""
    installation.database.execute("delete from private.runs")
    installation.call(
        "statistics-recompute" if kind.startswith("statistics") else "scenario-trigger-engine",
        f'{{"type": "SCHEDULE", "schedule": "{kind}"}}',
    )
    query = "select count(*) from private.runs where kind = %s and state = 'finished'"
    return wait_until(lambda: installation.database.value(query, (kind,)) == 1, 30)


def test_people_whom_the_ticks_had_missed(attend: Attend, installation: Installation) -> None:
    """Their marks were lost and the clocks of the rules are beyond them, as after a restore of half the tables."""
    organisation = Organisation(installation.database)
    installation.stack.drop_bells(True)
    organisation.mentor(quiet_days=30)
    assert installation.is_sent()
    installation.stack.drop_bells(False)
    organisation.settle()
    installation.database.execute("delete from private.statistics_marks")
    assert finished(installation, "scenario-evaluation")
    assert found(attend) == {"sweep_found sweep"}
    # When it looked, at how many people, and whom the ticks had missed of them.
    assert re.search(r"^sweep ! +\d+ seconds? ago +1 +1 +-$", attend("health").out, re.MULTILINE)
    assert finished(installation, "scenario-evaluation")
    assert found(attend) == set()


def test_statistics_that_had_drifted(attend: Attend, installation: Installation) -> None:
    team = Team(installation.database)
    (mentor,) = team.mentors(1)
    assert wait_until(lambda: team.marks() == 0 and team.total(mentor) == 3, 20)
    team.break_rows(mentor)
    assert finished(installation, "statistics-reconcile")
    assert found(attend) == {"statistics_drifted reconcile"}
    assert finished(installation, "statistics-reconcile")
    assert found(attend) == set()


def test_a_run_that_nobody_goes_on_with(attend: Attend, installation: Installation) -> None:
    team = Team(installation.database)
    team.mentors(3)
    installation.database.execute("select public.start_run('statistics-reconcile', gen_random_uuid())")
    assert found(attend) == set()
    installation.minutes_pass(11)
    installation.database.execute("update private.schedules set last_started_at = now(), last_succeeded_at = now()")
    assert "run_stuck statistics-reconcile" in found(attend)
    assert finished(installation, "statistics-reconcile")
    assert wait_until(lambda: found(attend) == set(), 10, 0.5)


def test_a_run_that_takes_longer_than_its_window(attend: Attend, installation: Installation) -> None:
    Team(installation.database).mentors(3)
    installation.database.execute("select public.start_run('statistics-reconcile', gen_random_uuid())")
    installation.database.execute("update private.runs set started_at = now() - interval '5 hours 1 minute'")
    assert "window_exceeded statistics-reconcile" in found(attend)
    longer = "update private.schedules set window_length = window_length + %s::interval where name like '%%-reconcile'"
    installation.database.execute(longer, ("1 hour",))
    try:
        assert "window_exceeded statistics-reconcile" not in found(attend)
    finally:
        installation.database.execute(longer, ("-1 hour",))


def test_the_heartbeat_beats_while_there_is_no_error_and_no_longer(attend: Attend, installation: Installation) -> None:
    receiver = Receiver()
    with installation.database.connect() as connection:
        vault.upsert(connection, "attend_heartbeat_url", receiver.url("/beat/of-a-monitor"))
    try:
        installation.run_job("heartbeat")
        receiver.wait_for("/beat/of-a-monitor", 1)
        assert "heartbeat_off" not in attend("health").out
        job = installation.forget_job("scenario-tick")
        installation.run_job("heartbeat")
        installation.schedule_job(job)
        assert installation.is_sent()
        assert len(receiver.to("/beat/of-a-monitor")) == 1
        with installation.database.connect() as connection:
            vault.upsert(connection, "attend_heartbeat_url", receiver.url("/gone?status=404"))
        installation.run_job("heartbeat")
        receiver.wait_for("/gone", 1)
        answered = "select exists (select from net._http_response where status_code = 404)"
        assert wait_until(lambda: installation.database.value(answered), 5)
        installation.run_job("heartbeat")
        assert found(attend) == {"heartbeat_unheard heartbeat"}
        assert "of-a-monitor" not in attend("health", "--json").out
    finally:
        installation.database.execute("delete from vault.secrets where name = 'attend_heartbeat_url'")
        receiver.close()


@pytest.mark.usefixtures("installation")
def test_watching_goes_on_while_the_database_is_away(attend: Attend, monkeypatch: pytest.MonkeyPatch) -> None:
    url = os.environ["SUPABASE_URL"]
    addresses = iter(["http://127.0.0.1:1", url])

    def meanwhile(_: float) -> None:
        try:
            monkeypatch.setenv("SUPABASE_URL", next(addresses))
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr("time.sleep", meanwhile)
    monkeypatch.setattr("shared.supabase_client._LONGEST_RETRYING_SECONDS", 0.0)
    ran = attend("health", "--watch", "1")
    assert (ran.status, ran.out.count("Attend is well")) == (WELL, 2)
    assert "The database cannot be reached" in ran.err
    assert attend("health", "--watch", "inf").status == 2


@pytest.mark.usefixtures("installation")
def test_it_looks_again_until_interrupted(attend: Attend, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[float] = []

    def interrupted(seconds: float) -> None:
        looked.append(seconds)
        if len(looked) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    ran = attend("health", "--watch", "7")
    assert (ran.status, looked) == (WELL, [7, 7])
    assert ran.out.count("Attend is well") == 2


def test_a_database_that_does_not_answer_is_not_reachable(attend: Attend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("shared.supabase_client._LONGEST_RETRYING_SECONDS", 0.0)
    ran = attend("health")
    assert (ran.status, ran.out) == (NOT_REACHABLE, "")
    assert "database_unavailable" in ran.err
    ran = attend("health", "--json")
    assert (ran.status, json.loads(ran.out)["status"]) == (NOT_REACHABLE, "not_reachable")


@pytest.mark.parametrize("answer", [[], {"received": True}])
def test_somebody_else_at_the_address_is_not_believed_to_be_well(
    attend: Attend, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    receiver = Receiver(content=answer)
    try:
        monkeypatch.setenv("SUPABASE_URL", receiver.url().rstrip("/"))
        ran = attend("health", "--json")
        assert (ran.status, json.loads(ran.out)["status"]) == (NOT_REACHABLE, "not_reachable")
        ran = attend("health")
        assert (ran.status, ran.out, "unexpected_answer" in ran.err) == (NOT_REACHABLE, "", True)
    finally:
        receiver.close()


def test_whoever_has_no_secret_key_is_refused(
    attend: Attend, monkeypatch: pytest.MonkeyPatch, installation: Installation
) -> None:
    monkeypatch.setenv("SUPABASE_SECRET_KEY", installation.stack.keys.publishable)
    ran = attend("health")
    assert ran.status == NOT_REACHABLE
    assert "database_refused" in ran.err
    with (
        installation.database.as_role("authenticated") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("select from public.health")


def test_a_function_says_how_it_is_itself(installation: Installation) -> None:
    """In short to anybody, with its schedules, calls and marks to whoever signs; through the gateway."""
    url = f"{installation.stack.functions_url}/{CARE}/health/deep"
    assert httpx.get(url).json() == {"status": "ok", "function": CARE}
    (secret,) = parse_secrets("the stack's", SecretStr(installation.stack.webhook_secret))
    headers = sign(secret, b"", webhook_id="asked", at=datetime.now(UTC))
    report = httpx.get(url, headers=headers)
    assert report.status_code == 200
    said = report.json()
    assert {(row["part"], row["name"]) for row in said["rows"]} == {
        ("schedule", "pastoral-cases"),
        ("schedule", "care-sweep"),
        ("function", CARE),
        ("backlog", "care_marks"),
    }
    assert (said["status"], said["database"]["reachable"]) == ("ok", True)
    installation.mark()
    installation.database.execute("update private.care_marks set marked_at = now() - interval '11 minutes'")
    unwell = httpx.get(url, headers=headers)
    assert unwell.status_code == 503
    assert [row["finding"] for row in unwell.json()["rows"] if row["finding"]] == ["marks_old"]
