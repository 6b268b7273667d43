"""Every operation that a function describes, asked with whatever fits its description and whatever does not.

The real processes, through the gateway, over a real database. Signed as the database signs, and not signed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks as conformance

from shared.openapi import PATH
from tests.fuzz.conftest import EXAMPLES, FUZZING, Front, proof
from tests.support.every_function import PACKAGES, Subject
from tests.support.people import World

pytestmark = pytest.mark.embedded

# The answer is one that the description has: its status, its type, its headers, its shape.
CONFORMS: list[Any] = [
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
]
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature", "x-attend-hook-secret")


@pytest.fixture(params=PACKAGES)
def api(request: pytest.FixtureRequest, front: Front, world: World) -> Any:
    """The description of one function, as it gives it itself, and of everything below its address."""
    assert world
    url = f"{front.url}/functions/v1/{Subject(request.param).name}"
    schema = schemathesis.openapi.from_url(url + PATH)
    schema.config.update(base_url=url)
    return schema


def each_case(api: Any, mode: GenerationMode, check: Callable[[Any, Any], None]) -> None:
    """Examples of every operation, handed to `check`."""
    for result in api.get_all_operations():
        operation = result.ok()
        takes_something = operation.body or operation.headers
        if takes_something or mode is GenerationMode.POSITIVE:
            of_operation(operation, mode, check, EXAMPLES if takes_something else 1)


def of_operation(operation: Any, mode: GenerationMode, check: Callable[[Any, Any], None], examples: int) -> None:
    """Examples of one of them."""

    @settings(FUZZING, max_examples=examples)
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        check(operation, case)

    run()


def holds(case: Any, answer: requests.Response) -> None:
    """It is one that the description has, and not the one for what nobody foresaw."""
    case.validate_response(answer, checks=CONFORMS)
    is_unwell = answer.status_code == 503 and case.operation.path.endswith("/health/deep")
    assert answer.status_code < 500 or is_unwell, (case.as_curl_command(), answer.text)


def sent(http: requests.Session, case: Any, *, signed: bool) -> requests.Response:
    """The answer to a case, whose proof is the right one, or none at all."""
    request = requests.Request(**case.as_transport_kwargs()).prepare()
    body = request.body or b""
    assert isinstance(body, str | bytes)
    raw = body.encode() if isinstance(body, str) else body
    for header in HEADERS:
        request.headers.pop(header, None)
    if signed:
        request.headers.update(proof(raw))
    return http.send(request, allow_redirects=False, timeout=60)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_whatever_is_signed_gets_an_answer_that_is_described(api: Any, front: Front, mode: GenerationMode) -> None:
    statuses: set[int] = set()
    with requests.Session() as http:

        def check(_: Any, case: Any) -> None:
            answer = sent(http, case, signed=True)
            statuses.add(answer.status_code)
            holds(case, answer)
            assert not [secret for secret in front.secrets if secret in answer.text]
            if answer.status_code >= 400 and answer.status_code != 503:
                problem = answer.json()
                assert problem["hint"] or problem["details"] or answer.status_code in {405, 415}, problem

        each_case(api, mode, check)
    # What is made up gets as far as the work, and as far as each refusal before it.
    assert (200 if mode is GenerationMode.POSITIVE else 400) in statuses


@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_whatever_is_not_signed_has_no_effect(api: Any, front: Front, mode: GenerationMode) -> None:
    before = front.state()
    with requests.Session() as http:

        def check(operation: Any, case: Any) -> None:
            answer = sent(http, case, signed=False)
            holds(case, answer)
            if operation.method == "post":
                assert answer.status_code in {400, 401, 413, 415}

        each_case(api, mode, check)
    assert front.state() == before


def test_no_secret_was_written_and_nothing_unforeseen_happened(front: Front) -> None:
    said = front.said()
    assert not [secret for secret in front.secrets if secret in said]
    assert "internal_error" not in said
    assert "request_refused" in said
