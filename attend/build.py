"""`attend build`: the folder that a host of containers or functions is given, one function and nothing else.

A deployable is the function's package, `shared/`, its own locked requirements, a `main.py` where functions-framework
looks for one, and the container file. Source: architecture.md, "Folders" and "Where things run".
"""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Annotated

import typer

REPOSITORY = Path(__file__).resolve().parent.parent
# Written last, so that a folder without it is either somebody else's or half built; its text identifies the content.
MARKER = ".attend-deployable"

_ROOT_MAIN = '''"""Where functions-framework looks: `functions-framework --asgi --source main.py --target main`."""

from functions.{package}.main import main

__all__ = ["main"]
'''


class BuildError(Exception):
    """A deployable cannot be assembled; the message says what to do about it."""


def function_names(repository: Path = REPOSITORY) -> list[str]:
    """The deployables of a repository by name, `scenario-trigger-engine` for `functions/scenario_trigger_engine`."""
    return sorted(main.parent.name.replace("_", "-") for main in repository.glob("functions/*/main.py"))


def assemble(function: str, output: Path, repository: Path = REPOSITORY) -> str:
    """Write the deployable folder of `function` to `output` and return the SHA-256 of its content.

    The same sources give the same digest on every machine. A folder that an earlier build made is replaced.

    Raises:
        BuildError: no such function, no locked requirements for it, or `output` holds something not built by us.
    """
    names = function_names(repository)
    if function not in names:
        raise BuildError(f"There is no function {function!r}. There are: {', '.join(names) or 'none'}.")
    requirements = repository / "requirements" / f"{function}.txt"
    if not requirements.is_file():
        raise BuildError(f"requirements/{function}.txt is missing. `make lock` writes it.")
    _clear(output)
    package = function.replace("-", "_")
    _copy_package(repository / "functions" / package, output / "functions" / package)
    _copy_package(repository / "shared", output / "shared")
    (output / "functions" / "__init__.py").touch()
    shutil.copyfile(requirements, output / "requirements.txt")
    shutil.copyfile(repository / "LICENSE", output / "LICENSE")
    (output / "main.py").write_text(_ROOT_MAIN.format(package=package))
    (output / "Dockerfile").write_text(_container_file(repository, function))
    digest = _digest(output)
    (output / MARKER).write_text(f"{function} sha256:{digest}\n")
    return digest


def _clear(output: Path) -> None:
    if output.is_dir() and any(output.iterdir()):
        if not (output / MARKER).is_file():
            raise BuildError(f"{output} is not empty and was not built by `attend build`: name another folder.")
        shutil.rmtree(output)
    elif output.exists() and not output.is_dir():
        raise BuildError(f"{output} is a file: name a folder.")
    output.mkdir(parents=True, exist_ok=True)


def _copy_package(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"))


def _container_file(repository: Path, function: str) -> str:
    text = (repository / "functions" / "Dockerfile").read_text()
    return re.sub(r"^ARG FUNCTION$", f"ARG FUNCTION={function}", text, flags=re.MULTILINE)


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        total.update(f"{content}  {file.relative_to(folder).as_posix()}\n".encode())
    return total.hexdigest()


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""

    @app.command()
    def build(
        function: Annotated[str, typer.Argument(help="The function's name, such as scenario-trigger-engine.")],
        output: Annotated[Path | None, typer.Option(help="The folder to write; build/FUNCTION if not given.")] = None,
    ) -> None:
        """Assemble one function's deployable folder: its package, shared/, locked requirements, container file."""
        folder = output or Path("build") / function
        try:
            digest = assemble(function, folder)
        except BuildError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
        typer.echo(f"{folder}  sha256:{digest}")
        typer.echo(f"docker build --build-arg FUNCTION={function} --tag attend-{function} {folder}")
