"""attend/scenarios/tables.py: rows of text, whatever others have typed into them."""

from attend.scenarios.tables import table


def test_columns_are_as_wide_as_they_must_be_and_numbers_stand_right() -> None:
    assert table([("name", "n"), ("Kari", "1,200"), ("Åse", "7")], "<>") == [
        "name      n",
        "Kari  1,200",
        "Åse       7",
    ]
    assert table([]) == []


def test_what_is_typed_tears_no_row_apart_and_says_nothing_to_the_terminal() -> None:
    note = "Two lines:\r\none\ttwo \x1b]0;title\x07\x9b31m"
    assert table([(note, "after")]) == [r"Two lines:\r\none\ttwo \x1b]0;title\x07\x9b31m  after"]
    assert table([("Søren 👩‍👩‍👧 אבא", "after")]) == ["Søren 👩‍👩‍👧 אבא  after"]
