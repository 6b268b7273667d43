"""attend/scenarios/asking.py, tables.py and questions.py: what is read, and how refusals and progress are told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from attend.api import BadInput
from attend.scenarios.asking import parse_numbers, parse_time, refusal
from attend.scenarios.questions import progress
from attend.scenarios.tables import counts, table
from shared.errors import DatabaseUnavailable, Refused


@pytest.mark.parametrize(
    "text", ["2026-11-01T08:00+01:00", "2026-11-01 07:00Z", " 2026-11-01T07:00:00+00:00 ", "20261101T0700Z"]
)
def test_a_time_with_its_zone_is_read(text: str) -> None:
    assert parse_time(text) == datetime(2026, 11, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-11-01T08:00", "2026-11-01", "tomorrow", "", "2026-02-30T00:00Z", "12:00+01:00"])
def test_a_time_without_a_zone_is_refused_and_says_how(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_time(text)
    assert "2026-11-01T08:00+01:00" in caught.value.hint
    assert caught.value.exit_status == 2


def test_no_time_is_now() -> None:
    assert parse_time(None) is None


def test_numbers_are_read_with_commas_and_nothing_else() -> None:
    assert parse_numbers("--lead-days", "30, 7") == [30, 7]
    for text in ("", "30;7", "30,", "a", "1.5"):
        with pytest.raises(BadInput, match="no list of whole numbers"):
            parse_numbers("--lead-days", text)


def refused(code: str, details: object) -> BadInput:
    told = refusal(Refused(code, 400, details, sqlstate="PT400", operation="x"))
    assert isinstance(told, BadInput)
    return told


def test_a_refusal_says_what_is_allowed() -> None:
    told = refused("parameter_out_of_range", {"parameter": "is_enabled", "value": None, "allowed": "true or false"})
    assert (told.message, told.hint) == ("is_enabled cannot be null.", "Allowed: true or false.")


def test_the_ends_of_a_range_of_times_are_told_so_that_they_lie_within_it() -> None:
    range_ = {"at": "2030-01-01T00:00:00+00:00", "earliest": "2026-01-01T01:00:00.5+01:00"}
    told = refused("time_out_of_range", range_ | {"latest": "2026-11-21T12:00:00.9+00:00"})
    assert told.hint == "Ask about a time from 2026-01-01T00:00:01Z to 2026-11-21T12:00:00Z."


@pytest.mark.parametrize("details", [None, [], {}, {"other": 1}])
def test_a_refusal_of_another_version_is_told_as_it_is(details: object) -> None:
    assert refused("unknown_user", details).message == "There is nobody ?."
    assert "a new refusal" in refused("a_new_refusal", details).message


def test_what_is_no_refusal_is_left_to_others() -> None:
    assert refusal(DatabaseUnavailable()) is None


def test_tables_are_as_wide_as_their_words_and_numbers_stand_right() -> None:
    assert table([("a", "1", "x"), ("long", "1,000", "")], "<>") == ["a         1  x", "long  1,000"]
    assert table([]) == []


def test_counts_are_told_by_scenario_the_most_first() -> None:
    told = counts({"milestone": {"sent": 2, "away": 0}, "inactivity": {"away": 1, "not_matched": 1_200}})
    assert told == [
        "inactivity  not_matched  1,200  does not match",
        "inactivity  away             1  away",
        "milestone   sent             2  told",
    ]
    assert counts({"quarantined": {"22012": 1}}) == ["quarantined  22012  1  cannot be evaluated"]
    assert counts({}) == ["Nobody matches anything."]


def test_progress_is_told_every_two_seconds_and_not_where_it_is_over_sooner(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = iter([0.0, 1.0, 2.5, 2.5, 3.0, 5.0, 5.0])
    tell = progress(1_000, lambda: next(clock))
    for done in (100, 500, 700, 1_200):
        tell(done)
    assert capsys.readouterr().err.splitlines() == ["500 of 1,000 people", "1,200 of 1,200 people"]
