"""functions/scenario_trigger_engine/payload.py."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.scenario_trigger_engine.payload import WATCHED_TABLES, OwnedRow, Schedule, UserRow, parse_event
from shared.errors import MalformedBody
from shared.events import Bell, RowChange

BELL = {"type": "BELL", "schema": "public", "table": "activities", "bell_id": "bell_1"}
SCHEDULE = {"type": "SCHEDULE", "schedule": "scenario-evaluation", "bell_id": "bell_1"}
RECORD = {"id": str(UUID(int=3)), "organization_id": str(UUID(int=1)), "user_id": str(UUID(int=2))}
UPDATE = {"type": "UPDATE", "schema": "public", "table": "activities", "record": RECORD, "old_record": RECORD}


def parse(event: object) -> Any:
    return parse_event(json.dumps(event).encode())


def refused(body: bytes) -> MalformedBody:
    with pytest.raises(MalformedBody) as caught:
        parse_event(body)
    return caught.value


def test_each_of_the_three_shapes_is_read() -> None:
    assert isinstance(parse(BELL), Bell)
    assert isinstance(parse(SCHEDULE), Schedule)
    assert isinstance(parse(UPDATE), RowChange)


def test_unknown_keys_are_ignored_because_sender_and_receiver_are_never_updated_at_once() -> None:
    assert isinstance(parse(BELL | {"new_in_a_later_version": 1}), Bell)


def test_a_bell_without_an_id_is_still_a_bell() -> None:
    assert isinstance(parse({key: value for key, value in BELL.items() if key != "bell_id"}), Bell)


@pytest.mark.parametrize("event", [BELL, SCHEDULE, UPDATE])
def test_a_missing_key_is_malformed(event: dict[str, Any]) -> None:
    for key in event.keys() - {"bell_id"}:
        refused(json.dumps({k: v for k, v in event.items() if k != key}).encode())


@pytest.mark.parametrize("event", [BELL, SCHEDULE, UPDATE])
@pytest.mark.parametrize("wrong", [1, True, None, [], {"a": 1}, "", "x" * 1_000])
def test_a_value_of_the_wrong_type_is_malformed_and_not_converted(event: dict[str, Any], wrong: object) -> None:
    for key in event.keys() - {"bell_id", "table", "schema"}:
        if not (key in {"record", "old_record"} and isinstance(wrong, dict)):
            refused(json.dumps(event | {key: wrong}).encode())


def test_an_unknown_schedule_is_malformed_because_silence_would_hide_it() -> None:
    for schedule in ("tea-time", "scenario-sweep", "statistics-rebuild"):
        refused(json.dumps(SCHEDULE | {"schedule": schedule}).encode())


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b"1", b'"x"', b"\xff", b"[" * 100_000, b'{"type": NaN}'])
def test_what_is_not_an_object_of_json_is_malformed(body: bytes) -> None:
    refused(body)


@given(st.binary(max_size=300))
def test_no_bytes_at_all_raise_anything_else(body: bytes) -> None:
    refused(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {"type": st.sampled_from(["BELL", "SCHEDULE", "INSERT", "UPDATE", "DELETE"]) | json_values},
    optional={
        "schema": st.just("public") | json_values,
        "table": st.sampled_from(sorted(WATCHED_TABLES)) | json_values,
        "schedule": st.just("scenario-evaluation") | json_values,
        "bell_id": st.text() | json_values,
        "record": st.just(RECORD) | st.dictionaries(st.sampled_from(sorted(RECORD)), json_values),
        "old_record": st.just(RECORD) | json_values,
    },
)


@given(fields)
def test_any_object_is_an_event_or_malformed_and_nothing_between(event: dict[str, Any]) -> None:
    try:
        parsed = parse(event)
        if isinstance(parsed, RowChange):
            parsed.rows(OwnedRow)
    except MalformedBody:
        return


@pytest.mark.parametrize(
    ("kind", "record", "old_record"),
    [("INSERT", None, None), ("UPDATE", RECORD, None), ("UPDATE", None, RECORD), ("DELETE", None, None)],
)
def test_a_row_payload_has_the_rows_of_its_type(kind: str, record: object, old_record: object) -> None:
    refused(json.dumps(UPDATE | {"type": kind, "record": record, "old_record": old_record}).encode())


def test_an_update_concerns_the_people_of_both_rows() -> None:
    moved = UPDATE | {"record": RECORD | {"user_id": str(UUID(int=9))}}
    assert {row.user_id for row in parse(moved).rows(OwnedRow)} == {UUID(int=2), UUID(int=9)}


def test_a_row_of_users_is_the_person_itself() -> None:
    (user,) = parse(UPDATE | {"type": "INSERT", "table": "users", "old_record": None}).rows(UserRow)
    assert (user.organization_id, user.id) == (UUID(int=1), UUID(int=3))


def test_a_row_without_what_says_whom_it_concerns_is_malformed() -> None:
    change = parse(UPDATE | {"record": {"id": 1}})
    with pytest.raises(MalformedBody) as caught:
        change.rows(OwnedRow)
    assert {"at": "record.user_id", "problem": "missing"} in caught.value.details  # type: ignore[operator]


def test_the_answer_names_places_and_repeats_no_value() -> None:
    error = refused(json.dumps(UPDATE | {"table": ["Kari Nordmann"], "record": "Kari Nordmann"}).encode())
    assert "Kari" not in json.dumps(error.body())
    assert any("table" in detail["at"] for detail in error.details)  # type: ignore[attr-defined]
