"""`attend serve`: the functions beside a real Supabase project, which runs no Python itself."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from attend.login import log_in
from attend.stack import round_trip, services, vault
from attend.stack.errors import StackError
from attend.stack.processes import free_port, require_free_port
from shared.webhooks import split_secrets

DEFAULT_PORT = 54380
_START_SECONDS = 30.0


class Environment(StrEnum):
    """Projects that can be asked for their addresses and keys."""

    supabase = "supabase"


@dataclass(frozen=True)
class Target:
    """The project to serve: its database and API, and the key the functions use."""

    db_url: str
    api_url: str
    secret_key: str
    publishable_key: str | None = None
    """For the panel's page; None: whatever SUPABASE_PUBLISHABLE_KEY says."""


@dataclass(frozen=True)
class Served:
    """What runs, and where the database finds it."""

    base_url: str
    processes: list[services.Service]
    secret: str


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command()(serve)


def serve(
    env: Annotated[Environment | None, typer.Option("--env", help="Ask `supabase status` for everything.")] = None,
    db_url: Annotated[str | None, typer.Option("--db-url", help="Login as postgres; else DB_URL.")] = None,
    api_url: Annotated[str | None, typer.Option("--api-url", help="Base URL of the API; else SUPABASE_URL.")] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port the database calls; 0: a free one.")
    ] = DEFAULT_PORT,
    host: Annotated[
        str, typer.Option("--host", help="Interface to listen on. A database in a container needs 0.0.0.0.")
    ] = "0.0.0.0",  # noqa: S104 - a container reaches the host on its bridge address; every event must be signed
    reach: Annotated[
        str | None, typer.Option("--reach", help="Host name under which the database reaches this machine.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Stop after the round trip; the exit status tells.")] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Also where the bells go to deployed functions, which then hear none.")
    ] = False,
) -> None:
    """Run the functions beside a Supabase project, and tell its database where they are.

    Puts base URL and signing secret into Vault and checks one signed round trip. The secret key comes from
    --env or from SUPABASE_SECRET_KEY (or SUPABASE_SERVICE_ROLE_KEY), never from the command line.
    """
    target = from_supabase_status(Path.cwd()) if env else from_settings(db_url, api_url, os.environ)
    port = port or free_port()
    require_free_port(port, "functions")
    logs = Path(tempfile.mkdtemp(prefix="attend-serve-"))
    # Only the exception gets us out of the waiting below, and nothing may be left running then. SIGINT too: it is
    # ignored where a script starts us in the background.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    processes: list[services.Service] = []
    try:
        with connect(target) as connection:
            if not take_over:
                leave_deployed_functions_alone(connection)
            secret = signing_secret(connection, os.environ)
            processes = start(target, secret, host, port, logs)
            base_url = introduce(connection, secret, port, [reach] if reach else candidates())
        typer.echo(f"Serving {', '.join(names(processes))} at {base_url}; logs in {logs}.")
        if not check:
            typer.echo("Ctrl-C stops it; until it runs again, bells fail and the sweep catches up.")
            keep_running(processes)
    except KeyboardInterrupt:
        typer.echo("Stopped.")
    finally:
        stop(processes)


def names(processes: list[services.Service]) -> list[str]:
    """The functions among the processes."""
    return [service.name for service in processes if service.name != "front"]


def from_supabase_status(folder: Path) -> Target:
    """Addresses and keys of a running `supabase start`, as `supabase status -o env` prints them."""
    local = folder / "node_modules" / ".bin" / "supabase"
    program = str(local) if local.exists() else shutil.which("supabase")
    if program is None:
        raise StackError(
            "The Supabase command line was not found.",
            "Install it (`npm install` brings the pinned one), or name the project: --db-url and --api-url.",
        )
    done = subprocess.run(
        [program, "status", "-o", "env"], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    values = parse_env(done.stdout)
    if done.returncode or "DB_URL" not in values:
        told = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise StackError(f"`supabase status` does not know a running project: {told}", "Start it: `supabase start`.")
    key = values.get("SECRET_KEY") or values.get("SERVICE_ROLE_KEY")
    published = values.get("PUBLISHABLE_KEY") or values.get("ANON_KEY")
    return replace(target(values["DB_URL"], values.get("API_URL"), key), publishable_key=published)


def parse_env(text: str) -> dict[str, str]:
    """`NAME="value"` lines; anything else is notices."""
    return dict(re.findall(r'^([A-Z][A-Z0-9_]*)="?(.*?)"?$', text, re.MULTILINE))


def from_settings(db_url: str | None, api_url: str | None, environment: Mapping[str, str]) -> Target:
    """A project named by options and environment variables."""
    key = environment.get("SUPABASE_SECRET_KEY") or environment.get("SUPABASE_SERVICE_ROLE_KEY")
    return target(db_url or environment.get("DB_URL"), api_url or environment.get("SUPABASE_URL"), key)


def target(db_url: str | None, api_url: str | None, key: str | None) -> Target:
    """Raises StackError naming the first thing that is missing and where to put it."""
    for value, what, where in (
        (db_url, "the database", "--db-url or DB_URL, or use --env supabase"),
        (api_url, "the API", "--api-url or SUPABASE_URL"),
        (key, "the project's secret key", "SUPABASE_SECRET_KEY"),
    ):
        if not value:
            raise StackError(f"It is not known where to find {what}.", f"Set {where}.")
    return Target(str(db_url), str(api_url).rstrip("/"), str(key))


def connect(target: Target) -> psycopg.Connection[Any]:
    """An autocommit connection to a database that has the migrations."""
    connection = log_in(target.db_url, autocommit=True, application_name="attend serve")
    found = connection.execute(
        "select to_regproc('private.post_signed') is not null and to_regproc('net.http_post') is not null"
    ).fetchone()
    if found != (True,):
        connection.close()
        raise StackError(
            "This database lacks Attend's migrations.",
            "Apply them: `supabase db push --remote` (or `supabase db reset` locally).",
        )
    return connection


def leave_deployed_functions_alone(connection: psycopg.Connection[Any]) -> None:
    """Raises StackError where the database calls an address by https: what is served here is always plain http."""
    address = in_vault(connection, vault.FUNCTIONS_URL) or ""
    if address.startswith("https:"):
        raise StackError(
            f"The bells of this database go to {address}.",
            "Served here, they would no longer, until somebody puts that address back into Vault. Is that meant? "
            "--take-over does it.",
        )


def in_vault(connection: psycopg.Connection[Any], name: str) -> str | None:
    """A secret of that name."""
    row = connection.execute("select decrypted_secret from vault.decrypted_secrets where name = %s", (name,)).fetchone()
    return row and row[0]


def signing_secret(connection: psycopg.Connection[Any], environment: Mapping[str, str]) -> str:
    """ATTEND_WEBHOOK_SECRET (its first), else the one in Vault, else a new one."""
    given = split_secrets(environment.get("ATTEND_WEBHOOK_SECRET", ""))
    if given:
        # Supabase's own hooks write a version in front, which functions read over and the database's triggers do not.
        return given[0].removeprefix("v1,")
    known = in_vault(connection, vault.WEBHOOK_SECRET)
    if known and known.startswith("whsec_"):
        return known
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def start(target: Target, secret: str, host: str, port: int, logs: Path) -> list[services.Service]:
    """Starts every function of this installation, and the one address in front of them."""
    environment = {
        "SUPABASE_URL": target.api_url,
        "SUPABASE_SECRET_KEY": target.secret_key,
        # Several are accepted while a secret is rotated; the first signs.
        "ATTEND_WEBHOOK_SECRET": os.environ.get("ATTEND_WEBHOOK_SECRET") or secret,
        **({} if target.publishable_key is None else {"SUPABASE_PUBLISHABLE_KEY": target.publishable_key}),
        **services.push_provider(),
    }
    folders = services.function_folders(Path(__file__).parents[1])
    if not folders:
        raise StackError("There are no functions beside this package.", "Run it from a clone of the repository.")
    processes = [
        services.function(name, main, free_port(), logs / f"{name}.log", environment) for name, main in folders.items()
    ]
    upstreams = {service.name: f"http://127.0.0.1:{service.port}" for service in processes}
    front = {
        "ATTEND_FRONT_FUNCTIONS": json.dumps(upstreams),
        "ATTEND_FRONT_HOST": host,
        "ATTEND_FRONT_PORT": str(port),
    }
    command = [sys.executable, "-m", "attend.stack.front"]
    processes.append(services.Service("front", command, front, logs / "front.log", port, "/_ready"))
    try:
        for service in processes:
            service.start()
        for service in processes:
            service.wait_ready(_START_SECONDS)
    except BaseException:
        stop(processes)
        raise
    return processes


def candidates() -> list[str]:
    """Hosts under which a database may reach this machine: itself, Docker's name for it, its bridges."""
    found = ["127.0.0.1", "host.docker.internal"]
    ip = shutil.which("ip")
    if ip:
        listed = subprocess.run([ip, "-4", "-o", "addr"], capture_output=True, text=True, check=False).stdout
        found += re.findall(r"(?:docker0|br-[0-9a-f]+)\s+inet (\d+\.\d+\.\d+\.\d+)", listed)
    return list(dict.fromkeys([*found, "172.17.0.1"]))


def introduce(connection: psycopg.Connection[Any], secret: str, port: int, hosts: list[str]) -> str:
    """Finds the base URL that works from inside the database, puts it into Vault, and rings once as a trigger would."""
    urls = [f"http://{host}:{port}/functions/v1" for host in hosts]
    chosen, attempts = round_trip.first_that_answers(connection, urls, secret)
    if chosen is None:
        told = "\n".join(f"  {attempt.describe()}" for attempt in attempts)
        raise StackError(
            f"The database reaches the functions under no address:\n{told}",
            "Name the host under which it reaches this machine with --reach; a hosted project needs a deployed "
            "function (docs/deploy.md), since it cannot call your machine.",
        )
    vault.upsert(connection, vault.FUNCTIONS_URL, chosen.base_url)
    vault.upsert(connection, vault.WEBHOOK_SECRET, secret)
    rung = round_trip.call_as_the_triggers_do(connection, chosen.base_url)
    typer.echo(f"Signed round trip: {rung.describe()}")
    if not rung.succeeded:
        raise StackError(
            "The database's own call was not accepted.",
            "If ATTEND_WEBHOOK_SECRET is set here, it must be the secret in Vault; see docs/runbook.md.",
        )
    return chosen.base_url


def keep_running(processes: list[services.Service]) -> None:
    """Starts again what ends, until interrupted."""
    while True:
        for service in processes:
            if service.start_again_if_due():
                typer.echo(f"{service.name} ended and was started again; see {service.log}.", err=True)
        time.sleep(0.2)


def stop(processes: list[services.Service]) -> None:
    """Lets running requests finish for a moment, then ends everything."""
    deadline = time.monotonic() + 5.0
    for service in processes:
        service.end_group(signal.SIGTERM)
    for service in processes:
        service.stop(deadline)
