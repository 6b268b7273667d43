"""Who reaches whom: this machine the API, the database the functions; by which clocks, and what is exposed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg

from attend.doctor.findings import Finding, found
from attend.stack import round_trip, vault
from shared.errors import SettingInvalid

type Connection = psycopg.Connection[Any]

# Schemas that a request must never reach, whoever sends it.
_CLOSED = ("private", "vault", "cron", "net", "auth")
# Beyond this somebody should look; beyond the other, signatures are refused or about to be.
_WORTH_A_LOOK_SECONDS = 30.0
_REFUSES_SECONDS = 240.0


def clocks(connection: Connection, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Iterator[Finding]:
    """This machine's clock against the database's."""
    began, before = time.monotonic(), now()
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101 - a select without from has a row
    middle = (time.monotonic() - began) / 2
    yield from _skew("This machine", (before - row[0]).total_seconds() + middle, "the database's")


def _skew(who: str, seconds: float, than: str) -> Iterator[Finding]:
    if abs(seconds) > _WORTH_A_LOOK_SECONDS:
        code = "clock_skew_refuses" if abs(seconds) > _REFUSES_SECONDS else "clock_skew"
        direction = "ahead of" if seconds > 0 else "behind"
        yield found(code, f"{who}'s clock is {abs(seconds):.0f} seconds {direction} {than}.")


def api(connection: Connection, url: str, key: str) -> Iterator[Finding]:
    """Whether the API answers this key, knows the schema, and exposes what it should and nothing more."""
    mgmt = connection.execute("select to_regnamespace('mgmt') is not null").fetchone() == (True,)
    try:
        with httpx.Client(base_url=f"{url}/rest/v1", headers={"apikey": key}, timeout=15, trust_env=False) as client:
            yield from _api(client, ("public", "mgmt") if mgmt else ("public",))
    except httpx.TransportError as error:
        yield found("api_unreachable", f"{url} does not answer ({type(error).__name__}).")


def _api(client: httpx.Client, wanted: tuple[str, ...]) -> Iterator[Finding]:
    answer = client.get("/health", params={"select": "name", "limit": "1"})
    match answer.status_code:
        case 200 if _is_a_row(answer):
            pass
        case 401 | 403:
            yield found("api_refuses_key", f"The API answers {answer.status_code} to this key.")
            return
        case 404 if _is_of_the_api(answer):
            yield found("api_outdated", "The API does not know the view health.")
        case 200 | 404:
            yield found("api_unreachable", "At its address somebody else answers.")
            return
        case status:
            yield found("api_unreachable", f"The API answers {status}.")
            return
    for schema in (*wanted, *_CLOSED):
        # No table has this name, so an exposed schema is a 404, and one that is not a 406.
        status = client.get("/attend_doctor_was_here", headers={"Accept-Profile": schema}).status_code
        if status not in (404, 406):
            yield found("api_unreachable", f"Asked for the schema {schema}, the API answers {status}.")
        elif status == 404 and schema in _CLOSED:
            yield found("schema_exposed", f"The API exposes the schema {schema}.")
        elif status == 406 and schema in wanted:
            yield found("schema_not_exposed", f"The API does not expose the schema {schema}.")


def _is_a_row(answer: httpx.Response) -> bool:
    read = _json(answer)
    return isinstance(read, list) and bool(read)


def _is_of_the_api(answer: httpx.Response) -> bool:
    read = _json(answer)
    return isinstance(read, dict) and "code" in read


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def functions(connection: Connection, names: list[str]) -> Iterator[Finding]:
    """Has the database ask each function how it is, signed as it signs its bells. `connection` is autocommit."""
    query = "select name, decrypted_secret from vault.decrypted_secrets where name = any (%s)"
    stored = dict(connection.execute(query, ([vault.FUNCTIONS_URL, vault.WEBHOOK_SECRET],)).fetchall())
    base, secret = stored.get(vault.FUNCTIONS_URL), stored.get(vault.WEBHOOK_SECRET)
    if not base or not secret:
        yield found("functions_not_asked", "The functions were not asked: Vault lacks their address or the secret.")
        return
    for name in names:
        try:
            answer = round_trip.ask(connection, f"{base.rstrip('/')}/{name}/health/deep", secret)
        except SettingInvalid:
            yield found("functions_not_asked", "The functions were not asked: the secret in Vault is none.")
            return
        yield from _of_function(name, answer)
        if not answer.was_sent:
            return


def _of_function(name: str, answer: round_trip.Answer) -> Iterator[Finding]:
    ahead = answer.ahead_seconds or 0.0
    # To a second, and as late as the answer was.
    yield from _skew(name, ahead, "the database's")
    database: dict[str, Any] = answer.body.get("database") or {}
    match answer.status:
        case None if not answer.was_sent:
            yield found("net_not_sending", "pg_net took no call within ten seconds.")
        case None:
            yield found("function_unreachable", f"The database does not reach {name}: {_code(answer.problem)}.")
        case 200 | 503 if answer.body.get("function") == name and not database:
            # In short, as to anybody: the signature was lost on the way, and bells are refused.
            yield found("function_refuses_signature", f"What is signed reaches {name} without its signature.")
        case 200 | 503 if answer.body.get("function") == name:
            if database.get("reachable") is False:
                yield found("function_without_database", f"{name} does not reach the API: {database.get('problem')}.")
        case 401:
            yield found("function_refuses_signature", f"{name} does not accept what is signed with Vault's secret.")
        case 404:
            yield found("function_not_there", f"At the address of {name} nobody knows /health/deep.")
        case 500 if answer.body.get("code") in {"setting_missing", "setting_invalid"}:
            variable = (answer.body.get("details") or {}).get("variable")
            yield found("function_lacks_setting", f"{name}: {answer.body['code']}, {variable}.")
        case status:
            yield found("function_unreachable", f"At the address of {name} somebody answers {status}.")


def _code(problem: str) -> str:
    # pg_net's words may quote the address, which is nobody's business in a log of CI.
    lowered = problem.lower()
    return next(
        (word for word in ("timeout", "resolve", "malformed", "connect", "ssl") if word in lowered), "no answer"
    )
