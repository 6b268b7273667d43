"""Signing in on the embedded stack, as the real client and the real service's documentation have it.

The client is supabase-py: what it can sign in to is what the panel's page and any app can.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from supabase_auth.errors import AuthApiError

from attend.stack import logins, services
from attend.stack.keys import Keys
from supabase import Client, create_client
from tests.support.database import PRISTINE, Database, Server, clone_database, drop_database
from tests.support.gateway import running_gateway

pytestmark = pytest.mark.embedded

PASSWORD = "correct horse battery staple"
KEYS = Keys()


@dataclass
class Service:
    """The service under test, and somebody who may sign in."""

    url: str
    database: Database
    email: str = field(default_factory=lambda: f"{uuid4().hex}@example.org")
    id: UUID = field(init=False)

    def __post_init__(self) -> None:
        with self.database.connect() as connection:
            self.id = logins.create(connection, self.email, PASSWORD)

    def client(self) -> Client:
        return create_client(self.url, KEYS.publishable)

    def sign_in(self, client: Client | None = None, password: str = PASSWORD) -> Any:
        return (client or self.client()).auth.sign_in_with_password({"email": self.email, "password": password})

    def ask(
        self, method: str, path: str, body: object = None, *, token: str | None = None, **headers: str
    ) -> httpx.Response:
        given = {"apikey": KEYS.publishable, **headers}
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        return httpx.request(method, f"{self.url}/auth/v1/{path}", json=body, headers=given, timeout=30)

    def refresh(self, token: str) -> httpx.Response:
        return self.ask("POST", "token?grant_type=refresh_token", {"refresh_token": token})


@pytest.fixture(scope="module")
def database(cluster: Server) -> Iterator[Database]:
    database = clone_database(cluster, PRISTINE, "auth")
    services.prepare_auth(database.dsn("supabase_admin"))
    services.prepare_auth(database.dsn("supabase_admin"))
    yield database
    drop_database(database)


@pytest.fixture(scope="module")
def url(database: Database) -> Iterator[str]:
    login = database.dsn("supabase_auth_admin")
    with running_gateway(database.dsn("authenticator"), auth_db_url=login, access_token_seconds=60) as url:
        yield url


@pytest.fixture
def service(url: str, database: Database) -> Service:
    return Service(url, database)


def refused(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"code", "error_code", "msg"}, body
    assert body["code"] == answer.status_code
    assert answer.headers["x-sb-error-code"] == body["error_code"]
    return answer.status_code, body["error_code"]


def test_the_real_client_signs_in_and_reads_who_it_is(service: Service) -> None:
    client = service.client()
    answer = service.sign_in(client)
    assert answer.session is not None
    assert answer.user is not None
    assert (answer.user.id, answer.user.email, answer.user.aud) == (str(service.id), service.email, "authenticated")
    assert answer.session.token_type == "bearer"
    assert answer.session.expires_in == 60
    assert abs(answer.session.expires_at - time.time() - 60) < 5
    seen = client.auth.get_user()
    assert seen is not None
    assert seen.user.id == str(service.id)
    assert seen.user.last_sign_in_at is not None


def test_the_access_token_is_one_that_the_api_takes(service: Service) -> None:
    session = service.sign_in().session
    claims = jwt.decode(session.access_token, KEYS.jwt_secret, algorithms=["HS256"], audience="authenticated")
    assert (claims["sub"], claims["role"], claims["email"]) == (str(service.id), "authenticated", service.email)
    assert claims["exp"] == session.expires_at
    assert claims["iss"] == f"{service.url}/auth/v1"
    answer = httpx.get(
        f"{service.url}/rest/v1/nothing",
        headers={"apikey": KEYS.publishable, "authorization": f"Bearer {session.access_token}"},
    )
    assert answer.json()["code"] == "PGRST205", "not 401: the token is known"


def test_the_address_may_be_written_in_capitals(service: Service) -> None:
    service.email = service.email.upper()
    assert service.sign_in().user is not None


@pytest.mark.parametrize("password", ["Correct horse battery staple", "x" * 200, "contraseña"])
def test_a_wrong_password_and_an_unknown_address_are_the_same_answer(service: Service, password: str) -> None:
    with pytest.raises(AuthApiError) as wrong:
        service.sign_in(password=password)
    service.email = "nobody@example.org"
    with pytest.raises(AuthApiError) as unknown:
        service.sign_in()
    told = {"name": "AuthApiError", "message": "Invalid login credentials", "status": 400}
    assert wrong.value.to_dict() == unknown.value.to_dict() == {**told, "code": "invalid_credentials"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("email_confirmed_at = null", "email_not_confirmed"),
        ("banned_until = now() + interval '1 day'", "user_banned"),
        ("encrypted_password = null", "invalid_credentials"),
        ("encrypted_password = ''", "invalid_credentials"),
        ("is_sso_user = true", "invalid_credentials"),
        ("aud = 'elsewhere'", "invalid_credentials"),
        ("instance_id = gen_random_uuid()", "invalid_credentials"),
    ],
)
def test_who_may_not_sign_in_is_told_so_in_the_services_words(service: Service, change: str, code: str) -> None:
    service.database.execute(f"update auth.users set {change} where id = %s", (service.id,))
    with pytest.raises(AuthApiError) as error:
        service.sign_in()
    assert (error.value.status, error.value.code) == (400, code)


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("token", {}, (400, "invalid_credentials")),
        ("token?grant_type=magic", {}, (400, "invalid_credentials")),
        ("token?grant_type=password", {"password": "x"}, (400, "validation_failed")),
        ("token?grant_type=password", ["x"], (400, "bad_json")),
        ("token?grant_type=password", {"email": 1, "password": "x"}, (400, "bad_json")),
        ("token?grant_type=password", {"email": "a\0", "password": "x"}, (400, "bad_json")),
        ("token?grant_type=refresh_token", {"refresh_token": "never-was"}, (400, "refresh_token_not_found")),
    ],
)
def test_what_makes_no_sense_is_refused(service: Service, path: str, body: object, expected: tuple[int, str]) -> None:
    assert refused(service.ask("POST", path, body)) == expected


def test_a_refresh_without_a_token_is_an_oauth_error(service: Service) -> None:
    answer = service.ask("POST", "token?grant_type=refresh_token", {})
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_request", "error_description": "refresh_token required"}


def test_a_client_of_the_present_version_gets_errors_in_its_shape(service: Service) -> None:
    answer = service.ask("POST", "token?grant_type=magic", {}, **{"x-supabase-api-version": "2024-01-01"})
    assert answer.json() == {"code": "invalid_credentials", "message": "unsupported_grant_type"}
    assert answer.headers["x-supabase-api-version"] == "2024-01-01"


def test_without_a_key_of_the_project_nobody_is_heard(service: Service) -> None:
    body = {"email": service.email, "password": PASSWORD}
    path = f"{service.url}/auth/v1/token?grant_type=password"
    assert httpx.post(path, json=body).status_code == 401
    assert httpx.post(path, json=body, headers={"apikey": "sb_publishable_other"}).status_code == 401
    assert httpx.post(path, json=body, headers={"apikey": KEYS.anon}).status_code == 200


def test_refreshing_rotates_and_the_client_goes_on_with_the_new_token(service: Service) -> None:
    client = service.client()
    first = service.sign_in(client).session
    second = client.auth.refresh_session().session
    assert second is not None
    assert second.refresh_token != first.refresh_token
    third = client.auth.refresh_session().session
    assert third is not None
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    sessions = {jwt.decode(s.access_token, options={"verify_signature": False})["session_id"] for s in (first, third)}
    assert len(sessions) == 1


def test_a_token_used_twice_gives_the_one_that_came_of_it(service: Service) -> None:
    """Two tabs that refresh at once both go on, and with the same token."""
    first = service.sign_in().session.refresh_token
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: service.refresh(first), range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1


def test_an_old_token_ends_the_session_of_whoever_has_it(service: Service) -> None:
    first = service.sign_in().session.refresh_token
    second = service.refresh(first).json()["refresh_token"]
    third = service.refresh(second).json()["refresh_token"]
    service.database.execute("update auth.refresh_tokens set updated_at = now() - interval '11 seconds'")
    assert refused(service.refresh(first)) == (400, "refresh_token_already_used")
    assert refused(service.refresh(third)) == (400, "refresh_token_already_used"), "and with it the whole family"


def test_a_token_that_was_used_a_moment_ago_is_no_theft(service: Service) -> None:
    first = service.sign_in().session.refresh_token
    second = service.refresh(first).json()["refresh_token"]
    assert service.refresh(second).status_code == 200
    assert service.refresh(first).status_code == 200


def test_signing_out_ends_the_session(service: Service) -> None:
    client = service.client()
    session = service.sign_in(client).session
    client.auth.sign_out()
    assert refused(service.refresh(session.refresh_token)) == (400, "refresh_token_not_found")
    assert refused(service.ask("GET", "user", token=session.access_token)) == (403, "session_not_found")


@pytest.mark.parametrize(
    ("scope", "left"), [("", (403, 403)), ("global", (403, 403)), ("local", (403, 200)), ("others", (200, 403))]
)
def test_signing_out_reaches_as_far_as_its_scope(service: Service, scope: str, left: tuple[int, int]) -> None:
    here, there = (service.sign_in().session.access_token for _ in range(2))
    path = f"logout?scope={scope}" if scope else "logout"
    assert service.ask("POST", path, token=here).status_code == 204
    assert tuple(service.ask("GET", "user", token=token).status_code for token in (here, there)) == left


def test_an_unknown_scope_is_refused(service: Service) -> None:
    token = service.sign_in().session.access_token
    assert refused(service.ask("POST", "logout?scope=world", token=token)) == (400, "validation_failed")


def test_others_tokens_are_refused(service: Service) -> None:
    assert refused(service.ask("GET", "user")) == (401, "no_authorization")
    expired = KEYS.user_token(str(service.id), exp=int(time.time()) - 1)
    forged = Keys(jwt_secret="another-secret-of-at-least-thirty-two-characters").user_token(str(service.id))
    for token in (expired, forged, "no.token.atall", KEYS.anon, KEYS.user_token("nobody")):
        assert refused(service.ask("GET", "user", token=token)) == (403, "bad_jwt")
    assert refused(service.ask("GET", "user", token=KEYS.user_token(str(uuid4())))) == (403, "user_not_found")


def test_a_person_who_is_erased_is_signed_out(service: Service) -> None:
    session = service.sign_in().session
    service.database.execute("delete from auth.users where id = %s", (service.id,))
    assert refused(service.ask("GET", "user", token=session.access_token)) == (403, "user_not_found")
    assert refused(service.refresh(session.refresh_token)) == (400, "refresh_token_not_found")


def test_no_answer_has_the_password_or_its_hash(service: Service) -> None:
    body = {"email": service.email, "password": PASSWORD}
    answer = service.ask("POST", "token?grant_type=password", body)
    assert PASSWORD not in answer.text
    assert "$2" not in answer.text
    assert set(answer.json()["user"]) == {
        *("id", "aud", "role", "email", "phone", "email_confirmed_at", "confirmed_at", "last_sign_in_at"),
        *("app_metadata", "user_metadata", "identities", "created_at", "updated_at", "is_anonymous"),
    }


def test_a_browser_of_any_origin_may_sign_in(service: Service) -> None:
    asked = {"origin": "https://panel.example.org", "access-control-request-headers": "apikey,content-type"}
    allowed = httpx.options(f"{service.url}/auth/v1/token", headers=asked)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "*")
    refusal = service.ask("POST", "token?grant_type=magic", {}, origin="https://panel.example.org")
    assert refusal.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(("method", "path"), [("POST", "signup"), ("PUT", "user"), ("GET", "settings")])
def test_the_rest_of_the_service_is_left_out(service: Service, method: str, path: str) -> None:
    answer = service.ask(method, path, {})
    assert (answer.status_code, answer.json()["code"]) == (501, "not_implemented")


def test_no_table_of_the_service_is_open_to_the_api(database: Database) -> None:
    open_to = database.rows(
        "select c.relname, r.name from pg_class c, unnest('{anon,authenticated,service_role}'::text[]) r(name)"
        " where c.relnamespace = 'auth'::regnamespace and c.relkind = 'r'"
        " and has_table_privilege(r.name, c.oid, 'select, insert, update, delete, truncate')"
    )
    assert open_to == []


def test_a_database_that_is_away_is_the_services_own_failure() -> None:
    nowhere = "postgresql://supabase_auth_admin@127.0.0.1:9/postgres"
    with running_gateway(nowhere, wait=False, auth_db_url=nowhere) as url:
        answer = httpx.post(
            f"{url}/auth/v1/token?grant_type=password",
            json={"email": "a@example.org", "password": "x"},
            headers={"apikey": KEYS.publishable},
        )
    assert refused(answer) == (500, "unexpected_failure")
    assert "127.0.0.1" not in answer.text


def test_a_gateway_without_it_says_that_the_service_is_left_out(database: Database) -> None:
    with running_gateway(database.dsn("authenticator")) as url:
        answer = httpx.post(f"{url}/auth/v1/token?grant_type=password", headers={"apikey": KEYS.publishable})
    assert (answer.status_code, answer.json()["code"]) == (501, "not_implemented")
