"""The JSON body of a request: checked here only as far as its keys matter; Postgres reads the values."""

import json
from collections.abc import Iterable
from typing import Any, NoReturn

from attend.stack.gateway.errors import invalid_body


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def parse_body(raw: bytes, *, empty_is_object: bool) -> tuple[str, frozenset[str]]:
    """The body as text and the keys of its object or objects; ApiError 400 PGRST102.

    All objects of an array must have the same keys. What is neither object nor array counts as `[]`.
    """
    if not raw and empty_is_object:
        return "{}", frozenset()
    text, document = _decode(raw)
    if isinstance(document, dict):
        return text, _keys(document)
    if not isinstance(document, list) or not document:
        return "[]", frozenset()
    keys = {_keys(item) if isinstance(item, dict) else None for item in document}
    only = keys.pop()
    if keys or only is None:
        raise invalid_body("All object keys must match")
    return text, only


def _decode(raw: bytes) -> tuple[str, Any]:
    try:
        text = raw.decode()
        return text, json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise invalid_body("Empty or invalid json") from error


def _keys(document: Iterable[Any]) -> frozenset[str]:
    return frozenset(str(key) for key in document)


def text_of(raw: bytes) -> str:
    """The body unread, for requests that name their columns: Postgres refuses what is no JSON."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise invalid_body("Empty or invalid json") from error
