"""attend/words.py: a length of time, in words."""

import pytest

from attend.words import span


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"),
        (0.6, "1 second"),
        (1, "1 second"),
        (1.4, "1 second"),
        (2, "2 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7_200, "2 hours"),
        (172_800, "2 days"),
    ],
)
def test_a_span_is_said_in_the_largest_unit_of_which_it_is_two(seconds: float, said: str) -> None:
    assert span(seconds) == said
