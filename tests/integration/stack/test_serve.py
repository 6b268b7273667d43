"""`attend serve`: the functions beside a project that runs already, here an embedded one without functions."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from attend.serve import candidates, parse_env, signing_secret
from attend.stack import Stack, vault
from attend.stack.processes import wait_until
from tests.support.stack import embedded_stack

pytestmark = [pytest.mark.embedded]
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def bare() -> Iterator[Stack]:
    """A project whose functions run nowhere."""
    with embedded_stack(functions=[], cron=False) as stack:
        yield stack


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "attend.cli", "serve", *arguments]


def serve(
    bare: Stack, *arguments: str, folder: Path = REPOSITORY, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("--port", "0", *arguments, "--check"),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=os.environ | {"SUPABASE_SECRET_KEY": bare.keys.secret} | environment,
    )


def in_vault(bare: Stack) -> dict[str, str]:
    with psycopg.connect(bare.db_url) as connection:
        return dict(connection.execute("select name, decrypted_secret from vault.decrypted_secrets").fetchall())


def test_a_signed_round_trip_is_checked_and_the_address_is_in_vault(bare: Stack) -> None:
    done = serve(bare, "--db-url", bare.db_url, "--api-url", bare.api_url)
    assert done.returncode == 0, done.stderr
    assert "signature accepted" in done.stdout
    assert in_vault(bare)["attend_functions_url"].startswith("http://127.0.0.1:")


def test_the_secret_in_vault_is_kept_so_that_others_who_know_it_stay_valid(bare: Stack) -> None:
    before = in_vault(bare)["attend_webhook_secret"]
    assert serve(bare, "--db-url", bare.db_url, "--api-url", bare.api_url).returncode == 0
    assert in_vault(bare)["attend_webhook_secret"] == before


def test_a_secret_from_the_environment_goes_into_vault(bare: Stack) -> None:
    given = "whsec_" + "QUJD" * 8
    done = serve(bare, "--db-url", bare.db_url, "--api-url", bare.api_url, ATTEND_WEBHOOK_SECRET=given)
    assert done.returncode == 0, done.stderr
    assert in_vault(bare)["attend_webhook_secret"] == given
    assert given not in done.stdout + done.stderr


def test_the_bells_of_deployed_functions_are_left_to_them(bare: Stack) -> None:
    deployed = "https://attend.example.org/functions/v1"
    with psycopg.connect(bare.db_url, autocommit=True) as connection:
        vault.upsert(connection, vault.FUNCTIONS_URL, deployed)
    there = ("--db-url", bare.db_url, "--api-url", bare.api_url)
    refused = serve(bare, *there)
    assert refused.returncode == 1
    assert deployed in refused.stderr
    assert "--take-over" in refused.stderr
    assert in_vault(bare)["attend_functions_url"] == deployed
    assert serve(bare, *there, "--take-over").returncode == 0
    assert in_vault(bare)["attend_functions_url"].startswith("http://127.0.0.1:")


def test_supabase_status_is_asked_for_addresses_and_keys(bare: Stack, tmp_path: Path) -> None:
    program = tmp_path / "supabase"
    program.write_text(
        f'#!/bin/sh\necho "Stopped services: [x]" >&2\necho \'API_URL="{bare.api_url}"\'\n'
        f"echo 'DB_URL=\"{bare.db_url}\"'\necho 'SECRET_KEY=\"{bare.keys.secret}\"'\n"
    )
    program.chmod(0o755)
    done = serve(bare, "--env", "supabase", folder=tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr


def test_it_serves_until_ctrl_c_and_rings_reach_it(bare: Stack) -> None:
    process = subprocess.Popen(
        command("--db-url", bare.db_url, "--api-url", bare.api_url, "--port", "0"),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"SUPABASE_SECRET_KEY": bare.keys.secret, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    assert re.fullmatch(r"Serving .*scenario-trigger-engine.*\n", lines[1]), lines
    with psycopg.connect(bare.db_url, autocommit=True) as connection:
        ring = """select private.post_signed('scenario-trigger-engine',
            jsonb_build_object('type', 'BELL', 'schema', 'public', 'table', 'activities',
              'bell_id', private.new_bell_id()))"""
        connection.execute("delete from net._http_response")
        # A bell waits about a second for its answer, and a cold function on a busy machine may need longer: bells are
        # rung until one is answered, as cron does.
        answered = "select exists (select from net._http_response r where r.status_code = 200)"

        def rung_and_answered() -> bool:
            connection.execute(ring)
            return wait_until(lambda: connection.execute(answered).fetchone() == (True,), 5.0, 0.1)

        assert wait_until(rung_and_answered, 30.0, 0.1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Stopped." in output


@pytest.mark.parametrize(
    ("arguments", "told", "advice"),
    [
        (["--db-url", "postgresql://x@127.0.0.1:1/x", "--api-url", "http://x"], "does not answer", "--db-url"),
        (["--api-url", "http://x"], "where to find the database", "--env supabase"),
        (["--db-url", "{db}"], "where to find the API", "SUPABASE_URL"),
        (["--db-url", "{empty}", "--api-url", "http://x"], "lacks Attend's migrations", "supabase db push --remote"),
        (["--db-url", "{db}", "--api-url", "{api}", "--reach", "no-such-host.invalid"], "under no address", "--reach"),
    ],
)
def test_an_error_says_what_to_do(bare: Stack, arguments: list[str], told: str, advice: str) -> None:
    names = {"db": bare.db_url, "api": bare.api_url, "empty": bare.dsn(dbname="template1")}
    done = serve(bare, *(argument.format(**names) for argument in arguments))
    assert done.returncode == 1
    assert told in done.stderr
    assert advice in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_no_machine_has_is_refused(bare: Stack) -> None:
    done = serve(bare, "--db-url", bare.db_url, "--api-url", bare.api_url, "--port", "70000")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_notices_around_the_status_are_no_values() -> None:
    text = 'Stopped services: [a b]\nAPI_URL="http://127.0.0.1:54321"\nJWT_SECRET="a=b"\nA new version is available\n'
    assert parse_env(text) == {"API_URL": "http://127.0.0.1:54321", "JWT_SECRET": "a=b"}


def test_the_machine_itself_is_tried_first_and_then_the_ways_out_of_a_container() -> None:
    found = candidates()
    assert found[:2] == ["127.0.0.1", "host.docker.internal"]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("given", ["whsec_YQ== whsec_Yg==", "whsec_YQ==|whsec_Yg==", "v1,whsec_YQ=="])
def test_of_several_secrets_the_first_signs_as_the_triggers_read_it(bare: Stack, given: str) -> None:
    with psycopg.connect(bare.db_url) as connection:
        assert signing_secret(connection, {"ATTEND_WEBHOOK_SECRET": given}) == "whsec_YQ=="
