"""Who may ask: the project's keys and tokens, as the gateway in front of PostgREST and PostgREST itself see them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest

from attend.stack.gateway.settings import DEFAULT_PUBLISHABLE_KEY, DEFAULT_SECRET_KEY
from tests.support.gateway import token

if TYPE_CHECKING:
    from tests.contract.postgrest.conftest import Api

embedded = pytest.mark.embedded


def who(api: Api, **headers: str) -> Any:
    answer = httpx.get(f"{api.rest_url}/rpc/everything", headers=headers)
    return answer.json()["role"] if answer.status_code == 200 else (answer.status_code, answer.json()["code"])


def bearer(api: Api, role: str | None = "authenticated", **claims: Any) -> str:
    return f"Bearer {token(api.jwt_secret, role, **claims)}"


@embedded
@pytest.mark.parametrize(("key", "role"), [(DEFAULT_SECRET_KEY, "service_role"), (DEFAULT_PUBLISHABLE_KEY, "anon")])
def test_a_key_is_a_role(api: Api, key: str, role: str) -> None:
    assert who(api, apikey=key) == role


@embedded
def test_a_key_that_clients_repeat_as_bearer_is_no_token(api: Api) -> None:
    assert who(api, apikey=DEFAULT_SECRET_KEY, Authorization=f"Bearer {DEFAULT_SECRET_KEY}") == "service_role"
    assert who(api, Authorization=f"Bearer {DEFAULT_SECRET_KEY}") == "anon"


@embedded
def test_a_persons_token_wins_over_the_key(api: Api) -> None:
    assert who(api, apikey=DEFAULT_PUBLISHABLE_KEY, Authorization=bearer(api)) == "authenticated"


@embedded
@pytest.mark.parametrize("key", ["sb_secret_wrong", "sb_publishable_", "sb_secret_ø"])
def test_a_key_nobody_gave_is_refused(api: Api, key: str) -> None:
    answer = httpx.get(f"{api.rest_url}/mentors", headers=[(b"apikey", key.encode())])
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")
    assert key not in answer.text


def test_legacy_tokens_are_roles(api: Api) -> None:
    assert who(api, Authorization=bearer(api, "service_role")) == "service_role"
    assert who(api, Authorization=bearer(api, "anon")) == "anon"


def test_a_token_without_a_role_is_anonymous(api: Api) -> None:
    assert who(api, Authorization=bearer(api, None)) == "anon"


@pytest.mark.parametrize("authorization", ["Basic dXNlcjpwYXNz", "token", "Bearerless x"])
def test_without_a_bearer_a_request_is_anonymous(api: Api, authorization: str) -> None:
    assert who(api, Authorization=authorization) == "anon"


def test_clocks_may_differ_by_thirty_seconds(api: Api) -> None:
    now = int(time.time())
    for name, sign in (("exp", -1), ("nbf", 1), ("iat", 1)):
        near: dict[str, Any] = {name: now + sign * 20}
        far: dict[str, Any] = {name: now + sign * 40}
        assert who(api, Authorization=bearer(api, **near)) == "authenticated"
        assert who(api, Authorization=bearer(api, **far)) == (401, "PGRST303")


@pytest.mark.parametrize("claims", [{"exp": time.time() + 600.5}, {"exp": "tomorrow"}, {"iat": "now"}])
def test_times_that_are_no_whole_numbers_are_refused(api: Api, claims: dict[str, Any]) -> None:
    payload = {"role": "authenticated", **claims}
    # PyJWT would refuse to encode some of them.
    made = jwt.api_jws.encode(json.dumps(payload).encode(), api.jwt_secret, algorithm="HS256")
    assert who(api, Authorization=f"Bearer {made}") == (401, "PGRST303")


def test_a_key_id_nobody_knows_is_refused(api: Api) -> None:
    made = jwt.encode({"role": "service_role"}, api.jwt_secret, algorithm="HS256", headers={"kid": "unknown"})
    assert who(api, Authorization=f"Bearer {made}") == (401, "PGRST301")


def test_a_token_without_a_signature_is_refused(api: Api) -> None:
    made = jwt.encode({"role": "service_role"}, "", algorithm="none")
    assert who(api, Authorization=f"Bearer {made}") == (401, "PGRST301")


@pytest.mark.parametrize("text", ["", " a.b", " a.b.c.d", " ø.ø.ø"])
def test_a_bearer_that_is_no_token_is_refused(api: Api, text: str) -> None:
    answer = httpx.get(f"{api.rest_url}/mentors", headers=[(b"Authorization", f"Bearer{text}".encode())])
    assert (answer.status_code, answer.json()["code"]) == (401, "PGRST301")


def test_a_role_the_api_may_not_take_is_refused(api: Api) -> None:
    assert who(api, Authorization=bearer(api, "postgres")) == (403, "42501")


def test_a_role_that_does_not_exist_is_refused(api: Api) -> None:
    assert who(api, Authorization=bearer(api, "nobody_at_all")) == (401, "22023")
