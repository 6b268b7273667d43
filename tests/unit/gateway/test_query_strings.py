"""Query strings become data, or a refusal, before anything reaches the database."""

import contextlib
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attend.stack.gateway.errors import ApiError
from attend.stack.gateway.query import EMPTY, Filter, Logic, OrderTerm, Query, SelectItem, parse_query


def parsed(**parameters: str) -> Query:
    return parse_query(urlencode(parameters).encode())


def test_no_query_string_is_the_empty_query() -> None:
    assert parse_query(b"") is EMPTY
    assert EMPTY.selects_all


def test_select_takes_columns_aliases_and_quoted_names() -> None:
    assert parsed(select='id,key:name,"a b",*').select == (
        SelectItem("id"),
        SelectItem("name", "key"),
        SelectItem("a b"),
        SelectItem("*"),
    )


def test_order_keeps_what_is_said_and_nothing_more() -> None:
    assert parsed(order="a,b.desc,c.asc.nullsfirst,d.nullslast").order == (
        OrderTerm("a"),
        OrderTerm("b", "desc"),
        OrderTerm("c", "asc", "first"),
        OrderTerm("d", None, "last"),
    )


def test_filters_come_before_logic() -> None:
    query = parse_query(b"or=(a.eq.1,not.and(b.gt.2,c.not.is.null))&id=not.in.(1,2)")
    assert query.conditions == (
        Filter("id", "in", ("1", "2"), negated=True),
        Logic(
            "or",
            (
                Filter("a", "eq", "1"),
                Logic("and", (Filter("b", "gt", "2"), Filter("c", "is", "NULL", negated=True)), negated=True),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("()", ()),
        ("(a)", ("a",)),
        ('("a,b","c\\"d")', ("a,b", 'c"d')),
        ("(a b,)", ("a b", "")),
        ('(a"b,c)', ('a"b', "c")),
    ],
)
def test_lists_follow_the_quoting_rules(text: str, values: tuple[str, ...]) -> None:
    assert parsed(x=f"in.{text}").conditions == (Filter("x", "in", values),)


def test_the_first_of_a_repeated_option_counts() -> None:
    assert parse_query(b"limit=1&limit=2").limit == 1


@pytest.mark.parametrize("text", ["x", "", "1.5", "9" * 30])
def test_a_limit_that_is_no_number_is_ignored(text: str) -> None:
    assert parsed(limit=text).limit is None


def test_arguments_of_a_call_by_get_are_what_has_no_operator() -> None:
    query = parse_query(b"a=1&b=eq.2&c={x,y}&d=2026-01-01T00:00:00.5Z&select=id", call_by_get=True)
    assert query.arguments == (("a", "1"), ("c", "{x,y}"), ("d", "2026-01-01T00:00:00.5Z"))
    assert query.conditions == (Filter("b", "eq", "2"),)


@pytest.mark.parametrize("raw", [b"id=1", b"id=eq", b"id=no.1", b"or=id.eq.1", b"select=a b;", b"order=a.up", b"=eq.1"])
def test_what_cannot_be_read_is_a_400(raw: bytes) -> None:
    with pytest.raises(ApiError) as refusal:
        parse_query(raw)
    assert (refusal.value.status, refusal.value.code) == (400, "PGRST100")


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=4), st.booleans())
def test_any_query_string_is_read_or_refused(parameters: dict[str, str], call: bool) -> None:
    raw = urlencode(parameters, errors="surrogatepass").encode()
    with contextlib.suppress(ApiError):
        assert isinstance(parse_query(raw, call_by_get=call), Query)


@given(st.lists(st.text(), min_size=1, max_size=5).filter(lambda values: values != [""]))
def test_quoted_lists_hold_any_text(values: list[str]) -> None:
    quoted = ",".join('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    clean = [value.encode("utf-8", "replace").decode() for value in values]
    raw = urlencode({"x": f"in.({quoted})"}, errors="replace").encode()
    assert parse_query(raw).conditions == (Filter("x", "in", tuple(clean)),)
