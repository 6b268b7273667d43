"""A cursor over one query parameter, with the lexical rules of PostgREST."""

import re

from attend.stack.gateway.errors import ApiError, parse_error

# Letters, digits, `_`, `$` and inner spaces; dashes unless they begin a json arrow.
_NAME = re.compile(r"\s*(?P<name>[\w $]+(?:-(?!>)[\w $]+)*)")
_QUOTED = re.compile(r'\s*"(?P<text>(?:[^"\\]|\\.)*)"', re.DOTALL)
_QUOTED_VALUE = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"(?=[,)]|\Z)', re.DOTALL)
_ARRAY_VALUE = re.compile(r"\{[^{}]*\}(?=[,)]|\Z)")
_PLAIN_VALUE = re.compile(r"[^,)]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Reader:
    """Text, a position in it, and a label for error messages."""

    def __init__(self, text: str, label: str) -> None:
        self.text = text
        self.label = label
        self.position = 0

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def error(self, expected: str, at: int | None = None) -> ApiError:
        """400 PGRST100, naming the character met and what was expected."""
        position = self.position if at is None else at
        met = f'"{self.text[position]}"' if position < len(self.text) else "end of input"
        return parse_error(f'"{self.label}" (line 1, column {position + 1})', f"unexpected {met} expecting {expected}")

    def peek(self, token: str) -> bool:
        return self.text.startswith(token, self.position)

    def take(self, token: str) -> bool:
        found = self.peek(token)
        if found:
            self.position += len(token)
        return found

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise self.error(f'"{token}"')

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.position)
        if found:
            self.position = found.end()
        return found

    def name(self) -> str:
        """A column name, bare or in double quotes."""
        quoted = self.match(_QUOTED)
        if quoted:
            return _ESCAPE.sub(r"\1", quoted["text"])
        found = self.match(_NAME)
        name = found["name"].strip() if found else ""
        if not name:
            raise self.error("field name (* or [a..z0..9_$])")
        return name

    def rest(self) -> str:
        text, self.position = self.text[self.position :], len(self.text)
        return text

    def logic_value(self) -> str:
        """A value inside `and=(…)`: quoted, an array literal, or everything up to a comma or bracket."""
        quoted = self.match(_QUOTED_VALUE)
        if quoted:
            return _ESCAPE.sub(r"\1", quoted["text"])
        found = self.match(_ARRAY_VALUE) or self.match(_PLAIN_VALUE)
        return found[0] if found else ""

    def list_values(self) -> tuple[str, ...]:
        """`(a,"b,c")` of the operator `in`; `()` is the empty list."""
        self.expect("(")
        values = [self._list_value()]
        while self.take(","):
            values.append(self._list_value())
        self.expect(")")
        return () if values == [""] else tuple(values)

    def _list_value(self) -> str:
        quoted = self.match(_QUOTED_VALUE)
        if quoted:
            return _ESCAPE.sub(r"\1", quoted["text"])
        found = self.match(_PLAIN_VALUE)
        return found[0] if found else ""
