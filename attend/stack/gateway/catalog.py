"""The schema cache: what the exposed schemas contain, and which function a call means."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property

from attend.stack.gateway.errors import ApiError


@dataclass(frozen=True)
class Column:
    """`default` is the SQL of its default; an identity column draws from its sequence."""

    name: str
    type: str
    default: str | None


@dataclass(frozen=True)
class Relation:
    """A table or view; a view has no primary key."""

    schema: str
    name: str
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...]

    def column(self, name: str) -> Column:
        found = self.columns.get(name)
        if found is None:
            message = f"Could not find the '{name}' column of '{self.name}' in the schema cache"
            raise ApiError(400, "PGRST204", message)
        return found


@dataclass(frozen=True)
class Parameter:
    """An input of a function."""

    name: str
    type: str
    required: bool
    variadic: bool


@dataclass(frozen=True)
class Routine:
    """A function; `result_name` is the relation its rows belong to, else its own name."""

    oid: int
    schema: str
    name: str
    parameters: tuple[Parameter, ...]
    returns_set: bool
    returns_composite: bool
    returns_void: bool
    result_name: str
    volatile: bool
    settings: tuple[tuple[str, str], ...]

    @cached_property
    def required(self) -> frozenset[str]:
        return frozenset(parameter.name for parameter in self.parameters if parameter.required)

    @cached_property
    def optional(self) -> frozenset[str]:
        return frozenset(parameter.name for parameter in self.parameters if not parameter.required)

    @property
    def takes_unnamed_json(self) -> bool:
        return (
            len(self.parameters) == 1 and not self.parameters[0].name and self.parameters[0].type in {"json", "jsonb"}
        )

    def accepts(self, names: frozenset[str]) -> bool:
        return names - self.optional == self.required


@dataclass(frozen=True)
class Catalog:
    """What the exposed schemas contain, and the settings of the roles that requests may take."""

    relations: Mapping[tuple[str, str], Relation]
    routines: Mapping[tuple[str, str], Sequence[Routine]]
    role_settings: Mapping[str, tuple[tuple[str, str], ...]] = field(
        default_factory=dict[str, tuple[tuple[str, str], ...]]
    )

    def relation(self, schema: str, name: str) -> Relation:
        found = self.relations.get((schema, name))
        if found is None:
            message = f"Could not find the table '{schema}.{name}' in the schema cache"
            near = _nearest(name, [other for owner, other in self.relations if owner == schema])
            raise ApiError(404, "PGRST205", message, hint=near and f"Perhaps you meant the table '{schema}.{near}'")
        return found

    def routine(self, schema: str, name: str, arguments: Collection[str], *, by_post: bool) -> Routine:
        """The function that takes exactly these named arguments, else one unnamed json (POST only).

        Raises ApiError: 404 PGRST202 when there is none, 300 PGRST203 when there are several.
        """
        overloads = self.routines.get((schema, name), ())
        names = frozenset(arguments)
        found = [routine for routine in overloads if routine.accepts(names)]
        if not found and by_post:
            found = [routine for routine in overloads if routine.takes_unnamed_json]
        if not found:
            raise self._unknown(schema, name, sorted(names), overloads)
        if len(found) > 1:
            message = "Could not choose the best candidate function between: " + ", ".join(map(_signature, found))
            hint = (
                "Try renaming the parameters or the function itself in the database so function overloading "
                "can be resolved"
            )
            raise ApiError(300, "PGRST203", message, hint=hint)
        return found[0]

    def _unknown(self, schema: str, name: str, arguments: list[str], overloads: Sequence[Routine]) -> ApiError:
        given = ", ".join(arguments)
        called = f"{schema}.{name}({given})" if arguments else f"{schema}.{name} without parameters"
        word = "parameters" if len(arguments) > 1 else "parameter"
        searched = (
            f"with {word} {given} or with a single unnamed json/jsonb parameter" if arguments else "without parameters"
        )
        if overloads:
            near = f"{name}({', '.join(sorted(parameter.name for parameter in overloads[0].parameters))})"
        else:
            near = _nearest(name, [other for owner, other in self.routines if owner == schema])
        return ApiError(
            404,
            "PGRST202",
            f"Could not find the function {called} in the schema cache",
            f"Searched for the function {schema}.{name} {searched}, but no matches were found in the schema cache.",
            near and f"Perhaps you meant to call the function {schema}.{near}",
        )


def _signature(routine: Routine) -> str:
    parameters = ", ".join(f"{parameter.name} => {parameter.type}" for parameter in routine.parameters)
    return f"{routine.schema}.{routine.name}({parameters})"


def _nearest(name: str, others: Sequence[str]) -> str | None:
    return next(iter(get_close_matches(name, others, n=1, cutoff=0.75)), None)
