"""attend/stack/round_trip.py: how far another clock is ahead, by the Date of an answer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from attend.stack import round_trip

AT = datetime(2026, 11, 22, 2, 27, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Date": "Sun, 22 Nov 2026 02:27:05 GMT"}, 5.0),
        ({"date": "Sun, 22 Nov 2026 02:27:05 -0000"}, 5.0),
        ({"date": "Sun, 22 Nov 2026 03:27:05 +0100"}, 5.0),
        ({"date": "today"}, None),
        ({}, None),
    ],
)
def test_the_date_of_an_answer_is_read_as_servers_write_it(headers: dict[str, str], seconds: float | None) -> None:
    assert round_trip._ahead(headers, AT) == seconds
