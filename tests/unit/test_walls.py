"""The walls of the architecture, read from the sources: who may import whom, and who may name what."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FUNCTIONS = sorted(main.parent for main in REPOSITORY.glob("functions/*/main.py"))
# A call of PostgREST: `client.rpc("name", …)`, `.table("name")`, `.from_("name")`, or a path of its API.
DATABASE_METHODS = {"rpc", "table", "from_", "schema"}


def imported_modules(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import in line {node.lineno}"
            yield node.module or ""
            # `from functions import other` imports the module functions.other
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(folder: Path, *forbidden: str, allowed: str | None = None) -> list[str]:
    def under(module: str, package: str) -> bool:
        return module == package or module.startswith(f"{package}.")

    return [
        f"{file.relative_to(REPOSITORY)} imports {module}"
        for file in sorted(folder.rglob("*.py"))
        for module in imported_modules(file)
        if any(under(module, package) for package in forbidden)
        and not (allowed and (module == "functions" or under(module, allowed)))
    ]


def defined_rpcs() -> set[str]:
    """The functions of schema public: what the API calls rpc."""
    declared = re.compile(r"create (?:or replace )?function public\.(\w+)", re.IGNORECASE)
    return {
        name for file in REPOSITORY.glob("supabase/schemas/**/*.sql") for name in declared.findall(file.read_text())
    }


def test_there_is_a_function_to_look_at() -> None:
    assert FUNCTIONS


def test_shared_imports_neither_functions_nor_attend() -> None:
    assert violations(REPOSITORY / "shared", "functions", "attend", "tests") == []


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda path: path.name)
def test_a_function_imports_shared_and_itself_only(function: Path) -> None:
    assert violations(function, "functions", "attend", "tests", allowed=f"functions.{function.name}") == []


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda path: path.name)
def test_main_is_an_adapter_of_fewer_than_thirty_lines(function: Path) -> None:
    assert len((function / "main.py").read_text().splitlines()) < 30


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda path: path.name)
def test_only_store_calls_the_database(function: Path) -> None:
    calls = [
        f"{file.relative_to(REPOSITORY)}:{node.lineno} .{node.func.attr}("
        for file in sorted(function.rglob("*.py"))
        if file.name != "store.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in DATABASE_METHODS
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]
    assert calls == []


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda path: path.name)
def test_only_store_names_a_database_function(function: Path) -> None:
    rpcs = defined_rpcs()
    assert rpcs, "no function of schema public was found in supabase/schemas"
    named = [
        f"{file.relative_to(REPOSITORY)}:{node.lineno} {node.value}"
        for file in sorted(function.rglob("*.py"))
        if file.name != "store.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in rpcs
    ]
    assert named == []


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda path: path.name)
def test_four_names_are_one_name(function: Path) -> None:
    assert (REPOSITORY / "requirements" / f"{function.name.replace('_', '-')}.txt").is_file()
    assert f"\n{function.name.replace('_', '-')} = [" in (REPOSITORY / "pyproject.toml").read_text()
