"""Secrets planted in every place that has one, every error provoked that there is: none of them is found anywhere else.

Looked through: what every process wrote, every answer, every table (ledger, cron's and pg_net's own among them), and
what the commands say.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from attend.stack import Stack, vault
from attend.stack.processes import wait_until
from tests.support.command import Attend, runner
from tests.support.database import Database, GivenServer
from tests.support.every_function import PACKAGES, Subject
from tests.support.expo_server import ExpoServer, request_error
from tests.support.fcm_server import FcmServer, private_key
from tests.support.function import Function
from tests.support.http_server import Reply, json_reply
from tests.support.people import World
from tests.support.served import Api, starting
from tests.support.stack import embedded_stack

pytestmark = pytest.mark.embedded

NAMES = [Subject(package).name for package in PACKAGES]
DASHBOARD = "canary-of-the-dashboard-0123456789"
EXPO_ACCESS = "canary_expo_access_0123456789"
HEARTBEAT = "canary-heartbeat-0123456789"
URL_PASSWORD = "canary-password-of-an-address"
PHONE = "canary:" + "APA91bHPRgkF3JUikC4ENAHEeMrd41Zxv3hVZjC9KtT8OvPVGJ" + "C" * 80
OTHER_PHONE = "ExponentPushToken[canary-of-a-phone]"
# What a trigger of the project's own says of a row: it is in the database's log and in quarantine, where it belongs.
QUOTED = "canary-that-a-trigger-quotes"
FAULT = f"""
create or replace function public.quote_row() returns trigger language plpgsql as $f$
begin
  raise exception '{QUOTED} %', new using detail = '{QUOTED} ' || new::text, hint = '{QUOTED}';
end $f$
"""
MAY_QUOTE = {"postgres.log", "quarantine", "private.quarantine", "private.schedules"}


@dataclass
class Searched:
    """What was said, by whoever said it, and the secrets that must not be in it."""

    stack: Stack
    database: Database
    secrets: dict[str, str]
    answers: list[tuple[str, str]] = field(default_factory=list)

    def keep(self, where: str, answer: httpx.Response) -> httpx.Response:
        self.answers.append((where, f"{answer.status_code} {answer.headers} {answer.text}"))
        return answer

    def places(self) -> Iterator[tuple[str, str]]:
        yield from self.answers
        for log in sorted(Path(self.stack.directory).rglob("*.log")):
            yield log.name, log.read_text(errors="replace")
        tables = self.database.rows(
            "select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'm') and n.nspname in ('public', 'private', 'net', 'cron', 'auth')"
        )
        for table in tables:
            rows = self.database.rows(f"select to_jsonb(t)::text as row from {table['name']} t")
            yield table["name"], "\n".join(row["row"] for row in rows)

    def found(self) -> list[tuple[str, str, str]]:
        """Where which secret stands, with some of what stands around it."""
        return [
            (name, where, text[max(0, text.find(secret) - 200) :][:400])
            for where, text in self.places()
            for name, secret in (self.secrets | {"quoted": QUOTED}).items()
            if secret in text
            and not (name == "quoted" and where in MAY_QUOTE)
            # The one table that is there to hold it.
            and not (name in {"phone", "other phone"} and where in {"devices", "public.devices"})
        ]


@pytest.fixture(scope="module")
def fcm() -> Iterator[FcmServer]:
    server = FcmServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def expo() -> Iterator[ExpoServer]:
    server = ExpoServer(EXPO_ACCESS)
    yield server
    server.close()


@pytest.fixture(scope="module")
def stack(fcm: FcmServer, expo: ExpoServer) -> Iterator[Stack]:
    settings = {
        "ATTEND_HOOK_SHARED_SECRET": DASHBOARD,
        "ATTEND_PUSH_PROVIDER": "",
        "ATTEND_PUSH_FCM_URL": fcm.url,
        "ATTEND_PUSH_FCM_SERVICE_ACCOUNT": fcm.account(),
        "ATTEND_PUSH_EXPO_URL": expo.url,
        "ATTEND_PUSH_EXPO_ACCESS_TOKEN": EXPO_ACCESS,
        "ATTEND_LOG_LEVEL": "debug",
    }
    with embedded_stack(cron=False, environment=settings) as stack:
        yield stack


@pytest.fixture
def searched(stack: Stack) -> Iterator[Searched]:
    database = Database(GivenServer(stack.db_url), "postgres")
    pem = private_key().splitlines()
    secrets = {
        "service key": stack.keys.secret,
        "legacy service key": stack.keys.service_role,
        "signing secret": stack.webhook_secret.removeprefix("whsec_"),
        "dashboard's secret": DASHBOARD,
        "private key": pem[5],
        "last line of the private key": pem[-3],
        "expo's access token": EXPO_ACCESS,
        "heartbeat's address": HEARTBEAT,
        "password in an address": URL_PASSWORD,
        "phone": PHONE,
        "other phone": OTHER_PHONE,
        "somebody's token": stack.keys.user_token(str(uuid4())),
        "database's password": "authenticator:postgres@",
    }
    yield Searched(stack, database, secrets)
    database.close()


def provoke_refusals(searched: Searched, client: httpx.Client) -> None:
    """Everything that a caller can do wrong, with secrets where a careless one might put them."""
    secrets, function = searched.secrets, Function(httpx.AsyncClient(), searched.stack.webhook_secret)
    careless = {
        "authorization": f"Bearer {secrets["somebody's token"]}",
        "apikey": secrets["service key"],
        "cookie": f"sb-access-token={secrets["somebody's token"]}",
        "x-request-id": secrets["service key"],
        "user-agent": DASHBOARD,
    }
    for package, name in zip(PACKAGES, NAMES, strict=True):
        bell, proof = Subject(package).bell, function.headers(Subject(package).bell)
        url = f"/functions/v1/{name}"
        attempts: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", url, {"content": bell}),
            (
                "POST",
                url,
                {"content": bell, "headers": proof | {"webhook-signature": f"v1,{secrets['signing secret']}"}},
            ),
            ("POST", url, {"content": bell + b" ", "headers": proof}),
            ("POST", url, {"content": bell, "headers": {"x-attend-hook-secret": DASHBOARD}}),
            ("POST", url, {"content": bell, "headers": {"x-attend-hook-secret": DASHBOARD + "x"}}),
            ("POST", url, {"content": bell, "headers": {"content-type": secrets["service key"]}}),
            ("POST", url, {"content": b"x" * 300_000, "headers": proof}),
            ("PUT", url, {"content": bell, "headers": proof}),
            ("GET", f"{url}/nothing/{secrets['service key']}", {}),
            ("GET", f"{url}/health/deep?apikey={secrets['service key']}", {"headers": {"webhook-signature": "v1,x"}}),
            ("GET", f"{url}/health/deep", {"headers": {"x-attend-hook-secret": DASHBOARD}}),
            ("GET", f"{url}/openapi.json", {}),
        ]
        bodies = (
            b"{",
            b'{"type":"%s"}' % DASHBOARD.encode(),
            b'{"type":"BELL","schema":1,"table":"%s"}' % PHONE.encode(),
        )
        attempts += [("POST", url, {"content": body, "headers": function.headers(body)}) for body in bodies]
        for method, path, options in attempts:
            headers = careless | options.pop("headers", {})
            answer = searched.keep(f"{method} {path[:40]}", client.request(method, path, headers=headers, **options))
            assert answer.status_code in {200, 400, 401, 404, 405, 413, 415, 503}, answer.text


def ring(searched: Searched, client: httpx.Client, package: str, **more: str) -> httpx.Response:
    subject = Subject(package)
    function = Function(httpx.AsyncClient(), searched.stack.webhook_secret)
    last: httpx.Response | None = None
    for body in (subject.bell, *subject.ticks):
        headers = function.headers(body) | more
        last = searched.keep(subject.name, client.post(f"/functions/v1/{subject.name}", content=body, headers=headers))
    assert last is not None
    return last


@contextlib.contextmanager
def quoting(database: Database, table: str) -> Iterator[None]:
    """Whatever is written there fails, and the error quotes it."""
    database.execute(FAULT)
    database.execute(
        f"create trigger quoting before insert or update on {table} for each row execute function public.quote_row()"
    )
    try:
        yield
    finally:
        database.execute(f"drop trigger quoting on {table}")


def provoke_the_database(searched: Searched, client: httpx.Client, world: World) -> None:
    """Rows that fail and quote themselves, rights that are gone, functions that are not there, a database that is."""
    database = searched.database
    for table in ("public.activity_statistics", "public.notifications", "public.pastoral_cases", "private.outbox"):
        with quoting(database, table):
            remark(database, world)
            for package in PACKAGES:
                ring(searched, client, package)
    # What each function asks first, so that it fails whatever waits.
    with gone(
        database, "revoke execute on function {} from service_role", "grant execute on function {} to service_role"
    ):
        assert {ring(searched, client, package).status_code for package in PACKAGES} == {500}
    with gone(database, "alter function {} rename to away", None):
        assert {ring(searched, client, package).status_code for package in PACKAGES} == {500}


@contextlib.contextmanager
def gone(database: Database, away: str, back: str | None) -> Iterator[None]:
    """The memory of deliveries, which every function asks before anything else."""
    name = "public.find_webhook_delivery(text, text)"
    database.execute(away.format(name))
    database.execute("notify pgrst, 'reload schema'")
    time.sleep(1)
    try:
        yield
    finally:
        database.execute(
            back.format(name) if back else "alter function public.away(text, text) rename to find_webhook_delivery"
        )
        database.execute("notify pgrst, 'reload schema'")
        time.sleep(1)


def remark(database: Database, world: World) -> None:
    """Work for everybody, and a push that is due."""
    organization = world.organization
    database.execute(
        "insert into private.statistics_marks (organization_id, user_id, rings, day)"
        " values (%s, %s, false, current_date)",
        (organization, world.ids["mentor"]),
    )
    database.execute(
        "insert into private.scenario_marks (organization_id, user_id, rings) values (%s, %s, false)",
        (organization, world.ids["mentor"]),
    )
    database.execute(
        "insert into private.care_marks (organization_id, person_id, rings) values (%s, %s, false)",
        (organization, world.ids["member"]),
    )
    with contextlib.suppress(psycopg.errors.RaiseException):
        tell(database, world)


def tell(database: Database, world: World) -> None:
    """Something to both of her phones."""
    database.execute(
        "select public.enqueue_notification(%s, 'inactivity', '{\"days\": 21}', gen_random_uuid()::text)",
        (world.ids["user"],),
    )
    database.execute(
        "update private.outbox set release_at = now(), next_attempt_at = now()"
        " where state in ('pending', 'deferred', 'failed')"
    )


def provoke_the_push_services(
    searched: Searched, client: httpx.Client, world: World, fcm: FcmServer, expo: ExpoServer
) -> None:
    """Services that refuse everything, and quote what they were sent."""
    database, secrets = searched.database, searched.secrets
    theirs = ("phone", "other phone", "private key", "last line of the private key", "expo's access token")
    quote = " ".join(secrets[name] for name in theirs)
    for status in (400, 401, 403, 404, 429, 500, 302):
        said = json_reply(status, {"error": {"message": quote, "status": quote, "details": [quote]}}, location=quote)
        fcm.devices = {PHONE: said}
        fcm.next_token.append(json_reply(status, {"error": quote, "error_description": quote}))
        fcm.valid_tokens.clear()
        expo.next.append(request_error(status, quote, quote, quote).reply)
        for _ in range(2):
            tell(database, world)
            ring(searched, client, "push_notification_dispatcher")
    fcm.devices = {PHONE: Reply(200, quote.encode())}
    expo.next.append(Reply(200, quote.encode()))
    tell(database, world)
    ring(searched, client, "push_notification_dispatcher")
    assert fcm.requests
    assert expo.requests
    secrets |= {f"access token {number}": token for number, token in enumerate(fcm.valid_tokens)}


def provoke_calls(searched: Searched) -> None:
    """Addresses with passwords in them, at which nobody is, or that are none; and the monitor's, which is a secret."""
    database, stack = searched.database, searched.stack
    addresses = [
        f"http://user:{URL_PASSWORD}@127.0.0.1:1",
        f"http://user:{URL_PASSWORD}@nowhere.invalid/x",
        URL_PASSWORD,
    ]
    with database.connect() as connection:
        for address in addresses:
            vault.upsert(connection, vault.FUNCTIONS_URL, address)
            connection.execute("select private.post_signed('pastoral-cases', '{\"type\": \"BELL\"}')")
            vault.upsert(connection, "attend_heartbeat_url", f"{address}/{HEARTBEAT}")
            for job in connection.execute("select command from cron.job where jobname like 'attend-%%'").fetchall():
                connection.execute(job["command"])
            assert wait_until(lambda: database.value("select count(*) from net.http_request_queue") == 0, 20)
        vault.upsert(connection, vault.FUNCTIONS_URL, stack.functions_url)
        vault.upsert(connection, "attend_heartbeat_url", f"http://127.0.0.1:1/{HEARTBEAT}")


BROKEN = {
    "SUPABASE_URL": f"ftp://user:{URL_PASSWORD}@x",
    "SUPABASE_SECRET_KEY": "",
    "ATTEND_WEBHOOK_SECRET": f"whsec_!!{DASHBOARD}!!",
    "ATTEND_HOOK_SHARED_SECRET": "short",
    "ATTEND_PUSH_FCM_SERVICE_ACCOUNT": '{"private_key": "' + DASHBOARD,
    "ATTEND_PUSH_FCM_URL": f"http://user:{URL_PASSWORD}@example.org",
    "ATTEND_MAX_BODY_BYTES": DASHBOARD,
}


def provoke_settings(searched: Searched, folder: Path) -> None:
    """Each setting unusable, one at a time, and with the secret that somebody put into the wrong one."""
    api = Api(searched.stack.api_url, searched.stack.keys.secret)
    package = "push_notification_dispatcher"
    with starting(package, api, folder) as start:
        for variable, value in BROKEN.items():
            process = start(**{variable: value})
            with httpx.Client(base_url=process.url, timeout=60) as client:
                body = Subject(package).bell
                headers = Function(httpx.AsyncClient()).headers(body)
                searched.keep(f"with {variable}", client.post("/", content=body, headers=headers))
                searched.keep(f"with {variable}", client.get("/health/deep"))
            searched.answers.append((f"log with {variable}", process.log.read_text()))


def provoke_commands(searched: Searched, attend: Attend) -> None:
    """What people see who look after it, on a bad day."""
    for arguments in (
        ("health",),
        ("health", "--json"),
        ("doctor", "--db-url", searched.stack.db_url, "--no-compare"),
        ("doctor", "--db-url", searched.stack.db_url, "--no-compare", "--json"),
        ("doctor", "--db-url", f"postgresql://postgres:{URL_PASSWORD}@127.0.0.1:1/postgres"),
        ("outbox", "list", "--json"),
        ("outbox", "status"),
        ("quarantine", "list"),
    ):
        ran = attend(*arguments)
        searched.answers.append((" ".join(arguments[:2]), ran.out + ran.err))


def test_no_secret_is_found_where_it_does_not_belong(
    searched: Searched,
    fcm: FcmServer,
    expo: ExpoServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    database, stack = searched.database, searched.stack
    world = World(database, device_token=PHONE)
    database.execute("update public.devices set is_active = true, deactivated_at = null, deactivated_reason = null")
    database.execute(
        "insert into public.devices (organization_id, user_id, provider, platform, token)"
        " values (%s, %s, 'expo', 'ios', %s)",
        (world.organization, world.ids["user"], OTHER_PHONE),
    )
    database.execute(
        "insert into public.org_settings_kv values (%s, 'notification_daily_cap', '100')", (world.organization,)
    )
    with httpx.Client(base_url=stack.api_url, timeout=60) as client:
        for provoke in (
            lambda: provoke_refusals(searched, client),
            lambda: provoke_the_database(searched, client, world),
            lambda: provoke_the_push_services(searched, client, world, fcm, expo),
            lambda: provoke_calls(searched),
        ):
            provoke()
        old = stack.kill("postgres")
        for package in PACKAGES:
            ring(searched, client, package)
        stack.wait_restarted("postgres", old)
    provoke_settings(searched, tmp_path)
    provoke_commands(searched, runner(stack.api_url, stack.keys.secret, monkeypatch, capsys))
    database.close()
    found = searched.found()
    assert not found, "\n".join(f"{name} in {where}: …{text}…" for name, where, text in found)
    # The search finds what is there.
    assert QUOTED in stack.logs("postgres")
    assert len(searched.answers) > 150
