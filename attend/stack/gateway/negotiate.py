"""What a request's headers ask for: preferences, media types, schema."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from attend.stack.gateway.errors import ApiError, invalid_body, left_out

JSON = "application/json"
OBJECT = "application/vnd.pgrst.object+json"

_RESOLUTION = {"merge-duplicates", "ignore-duplicates"}
_REPRESENTATION = {"representation", "minimal", "headers-only"}
_CALL_ONLY_TYPES = {"text/plain", "text/xml", "application/octet-stream"}


@dataclass(frozen=True)
class Preferences:
    """The `Prefer` header; None where nothing valid was asked for."""

    resolution: str | None = None
    missing: str | None = None
    representation: str | None = None
    count: str | None = None
    handling: str | None = None

    @property
    def counts(self) -> bool:
        return self.count == "exact"

    @property
    def applies_defaults(self) -> bool:
        return self.missing == "default"


NONE = Preferences()


def parse_preferences(header: str | None) -> Preferences:
    """Of several values of one preference the first known one counts; unknown ones are ignored (lenient)."""
    if not header:
        return NONE
    given: dict[str, list[str]] = {}
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        given.setdefault(name, []).append(value)
    if "timezone" in given or "strict" in given.get("handling", []):
        raise left_out("Prefer: timezone and handling=strict")
    if {"planned", "estimated"} & set(given.get("count", [])):
        raise left_out("planned and estimated counts")

    def first(name: str, allowed: set[str]) -> str | None:
        return next((value for value in given.get(name, []) if value in allowed), None)

    return Preferences(
        first("resolution", _RESOLUTION),
        first("missing", {"default", "null"}),
        first("return", _REPRESENTATION),
        first("count", {"exact"}),
        first("handling", {"lenient"}),
    )


def preference_applied(preferences: Preferences, names: Sequence[str]) -> dict[str, str]:
    """The `Preference-Applied` header for those of `names` that were asked for, in PostgREST's order."""
    asked = {
        "resolution": preferences.resolution,
        "missing": preferences.missing,
        "return": preferences.representation,
        "count": preferences.count,
        "handling": preferences.handling,
    }
    applied = [f"{name}={value}" for name, value in asked.items() if value is not None and name in names]
    return {"Preference-Applied": ", ".join(applied)} if applied else {}


def accepted_type(header: str | None) -> Literal["application/json", "application/vnd.pgrst.object+json"]:
    """The media type of the answer; ApiError 406 PGRST107, or 501 for a type that PostgREST would have."""
    if not header or header in {JSON, "*/*"}:
        return JSON
    wanted = sorted(_media_types(header), key=lambda item: -item[1])
    for name, _, parameters in wanted:
        if name in {JSON, "*/*", "application/*"}:
            return JSON
        if name in {OBJECT, "application/vnd.pgrst.object"}:
            if "nulls=stripped" in parameters:
                raise left_out("stripped nulls")
            return OBJECT
        if name in {"text/csv", "application/geo+json"} or name.startswith("application/vnd.pgrst."):
            raise left_out(f"answers as {name}")
    names = ", ".join(name for name, _, _ in wanted)
    raise ApiError(406, "PGRST107", f"None of these media types are available: {names}")


def _media_types(header: str) -> list[tuple[str, float, tuple[str, ...]]]:
    found: list[tuple[str, float, tuple[str, ...]]] = []
    for part in header.split(","):
        name, *parameters = [piece.strip().lower() for piece in part.split(";")]
        quality = next((text[2:] for text in parameters if re.fullmatch(r"q=[01](\.\d{0,3})?", text)), "1")
        if name:
            found.append((name, float(quality), tuple(parameters)))
    return found


def check_content_type(header: str | None, *, call: bool) -> None:
    """Bodies are JSON; ApiError 501 for types that PostgREST reads too, 400 PGRST102 for the rest."""
    name = header.partition(";")[0].strip().lower() if header else JSON
    if name == JSON:
        return
    if name in {"text/csv", "application/x-www-form-urlencoded"} or (call and name in _CALL_ONLY_TYPES):
        raise left_out(f"bodies of type {name}")
    raise invalid_body(f"Content-Type not acceptable: {name}")


def negotiated_schema(headers: Mapping[str, str], method: str, schemas: Sequence[str]) -> tuple[str, bool]:
    """The schema of a request, and whether the answer names it in `Content-Profile`; ApiError 406 PGRST106."""
    wanted = headers.get("content-profile" if method in {"POST", "PATCH", "PUT", "DELETE"} else "accept-profile")
    if wanted is None:
        return schemas[0], len(schemas) > 1
    if wanted not in schemas:
        exposed = "Only the following schemas are exposed: " + ", ".join(schemas)
        raise ApiError(406, "PGRST106", f"Invalid schema: {wanted}", hint=exposed)
    return wanted, True
