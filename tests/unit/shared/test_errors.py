"""shared/errors.py and shared/postgrest_errors.py."""

import json

import pytest

from shared import errors
from shared.errors import AttendError, DatabaseError, LeaseLost, Refused
from shared.postgrest_errors import from_postgrest


def subclasses(kind: type[AttendError]) -> set[type[AttendError]]:
    return {kind, *(deeper for sub in kind.__subclasses__() for deeper in subclasses(sub))}


def test_every_error_of_the_tree_has_a_code_of_its_own() -> None:
    kinds = subclasses(AttendError) - {AttendError, DatabaseError, Refused, LeaseLost}
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)


def test_the_body_has_postgrests_four_keys_and_no_more() -> None:
    assert set(errors.SettingMissing("X").body()) == {"code", "message", "details", "hint"}


def test_an_unforeseen_error_tells_the_caller_nothing() -> None:
    assert errors.InternalError().body()["details"] is None


def test_why_a_signature_failed_is_not_in_the_answer() -> None:
    one, other = errors.NotVerified("stale"), errors.NotVerified("no signature fits")
    assert one.body() == other.body()


def body(code: str | None, message: str = "m", details: object = None) -> bytes:
    return json.dumps({"code": code, "message": message, "details": details, "hint": None}).encode()


@pytest.mark.parametrize(
    ("status", "code", "kind", "may_have_run"),
    [
        (504, "PGRST003", errors.DatabaseBusy, False),
        (503, "53300", errors.DatabaseBusy, False),
        (503, "57P03", errors.DatabaseBusy, False),
        (503, "PGRST001", errors.DatabaseBusy, False),
        (503, "PGRST002", errors.DatabaseBusy, False),
        (503, "57P01", errors.DatabaseUnavailable, True),
        (503, "08006", errors.DatabaseUnavailable, True),
        (500, "40001", errors.DatabaseConflict, False),
        (500, "40P01", errors.DatabaseConflict, False),
        (400, "55P03", errors.DatabaseConflict, False),
        (500, "57014", errors.DatabaseTimeout, False),
        (403, "42501", errors.DatabaseRefused, True),
        (401, "PGRST301", errors.DatabaseRefused, True),
        (404, "PGRST202", errors.DatabaseOutdated, True),
        (404, "PGRST205", errors.DatabaseOutdated, True),
        (406, "PGRST106", errors.DatabaseOutdated, True),
        (404, "42883", errors.DatabaseOutdated, True),
        (409, "23505", DatabaseError, True),
        (400, "P0001", DatabaseError, True),
    ],
)
def test_a_code_of_postgres_or_postgrest_chooses_the_error(
    status: int, code: str, kind: type[DatabaseError], may_have_run: bool
) -> None:
    error = from_postgrest(status, body(code), operation="f")
    assert type(error) is kind
    assert error.may_have_run is may_have_run
    assert error.sqlstate == code


@pytest.mark.parametrize("status", [429, 502, 503, 504, 520])
@pytest.mark.parametrize("text", [b"<html>bad gateway</html>", b'{"message":"no upstream"}', b"", b"[1]", b"\xff"])
def test_a_proxys_answer_without_a_code_is_judged_by_its_status(status: int, text: bytes) -> None:
    assert type(from_postgrest(status, text, operation="f")) is errors.DatabaseUnavailable


def test_the_message_text_never_chooses() -> None:
    assert type(from_postgrest(400, body("P0001", "lease_lost"), operation="f")) is DatabaseError


def test_a_rules_refusal_keeps_its_stable_code_status_and_details() -> None:
    answer = body("PT400", "threshold_days_out_of_range", '{"minimum": 1, "maximum": 3650}')
    error = from_postgrest(400, answer, operation="evaluate_inactivity")
    assert isinstance(error, Refused)
    assert (error.code, error.http_status) == ("threshold_days_out_of_range", 400)
    assert error.details == {"minimum": 1, "maximum": 3650}


def test_a_lost_lease_is_an_error_of_its_own() -> None:
    assert isinstance(from_postgrest(409, body("PT409", "lease_lost"), operation="evaluate_chunk"), LeaseLost)


def test_free_text_in_a_refusals_details_is_dropped_because_it_could_quote_a_row() -> None:
    error = from_postgrest(409, body("PT409", "some_code", "Failing row contains (Kari Nordmann)"), operation="f")
    assert error.details is None


def test_a_refusal_whose_message_is_no_stable_code_is_an_ordinary_error() -> None:
    error = from_postgrest(409, body("PT409", "Row of Kari Nordmann is locked"), operation="f")
    assert type(error) is DatabaseError
    assert "Kari" not in json.dumps(error.body())


def test_text_of_the_database_is_never_passed_on() -> None:
    answer = body("23505", "duplicate key", "Key (email)=(kari@example.org) already exists.")
    assert "kari" not in json.dumps(from_postgrest(409, answer, operation="f").body())


@pytest.mark.parametrize("details", ['{"value": NaN}', '{"value": -Infinity}', "[" * 100_000])
def test_details_that_no_answer_could_repeat_are_dropped(details: str) -> None:
    assert from_postgrest(409, body("PT409", "nope", details), operation="f").details is None


def test_retry_after_zero_becomes_a_time_that_can_be_waited() -> None:
    error = from_postgrest(503, body("08006"), operation="f", retry_after="0")
    assert error.retry_after is not None
    assert error.retry_after >= 1


def test_retry_after_is_bounded() -> None:
    assert from_postgrest(503, b"", operation="f", retry_after="99999").retry_after == 60
    assert from_postgrest(503, b"", operation="f", retry_after="9" * 5_000).retry_after == 60
