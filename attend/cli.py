"""The command line: `attend --help`. Every error says what happened and what to do next."""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from attend.stack import state
from attend.stack.errors import AlreadyRunningError, NotRunningError, StackError
from attend.stack.handle import wait_ready
from attend.stack.keys import Keys, status_values
from attend.stack.processes import wait_until

app = typer.Typer(
    name="attend",
    help="Engagement automation for Supabase: the embedded stack, the functions and the demonstration.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_screen = Console(stderr=True, highlight=False)
# What a disk says behind a redirection.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# The verbs of other parts, by the module that adds them.
_VERB_MODULES = {
    "attend.serve": ("serve",),
    "attend.build": ("build",),
    "attend.statistics": ("statistics",),
    "attend.health": ("health",),
    "attend.doctor.cli": ("doctor",),
    "attend.people": ("person",),
    "attend.panel": ("panel",),
    "attend.scenarios.cli": ("rules", "dry-run", "explain", "decide", "quarantine"),
    "attend.outbox.cli": ("outbox",),
    "attend.demo.cli": ("demo",),
    "attend.bench.cli": ("bench",),
}


class Output(StrEnum):
    """Formats of `attend status`."""

    pretty = "pretty"
    env = "env"
    json = "json"


Project = Annotated[
    Path | None,
    typer.Option("--project", help="The folder with supabase/config.toml; found upwards from here by default."),
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65534, help="Port of the API; the database has the next one. 0: free ones.")
]
NoExpose = Annotated[
    bool,
    typer.Option(
        "--no-expose-new-tables", help="New tables are closed to the API roles, as `auto_expose_new_tables = false`."
    ),
]


def find_project(start: Path | None) -> Path:
    """The project a command is about. Raises StackError when there is none."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents) if start is None else (here,):
        if (folder / "supabase" / "config.toml").exists():
            return folder
    raise StackError(
        f"There is no Supabase project in {here}{' or above' if start is None else ''}: no supabase/config.toml.",
        "Go to the project's folder, or name it with --project.",
    )


@app.command()
def up(
    project: Project = None,
    port: Port = 54321,
    no_expose_new_tables: NoExpose = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay here until Ctrl-C.")] = False,
    no_seed: Annotated[bool, typer.Option("--no-seed", help="Leave a new database without supabase/seed.sql.")] = False,
) -> None:
    """Start the embedded stack: Postgres, pg_net and pg_cron, the API, the functions. No Docker, no network."""
    folder = find_project(project)
    directory = folder / ".attend"
    if foreground:
        _run_in_foreground(folder, directory, port, not no_expose_new_tables, seed=not no_seed)
        return
    running = state.read(directory)
    if running is not None and running.supervisor.lives():
        raise AlreadyRunningError(
            f"The stack of {folder} is running already.", "See `attend status`; stop it with `attend down`."
        )
    started = time.monotonic()
    process = _spawn_supervisor(folder, directory, port, not no_expose_new_tables, seed=not no_seed)
    wait_ready(directory, process, 90.0)
    _screen.print(f"Ready in {time.monotonic() - started:.1f} s.")
    _print_status(directory, Output.pretty)


def _spawn_supervisor(folder: Path, directory: Path, port: int, expose: bool, *, seed: bool) -> subprocess.Popen[bytes]:
    _writable(directory)
    command = [sys.executable, "-m", "attend.stack.supervisor"]
    command += ["--project", str(folder), "--directory", str(directory), "--port", str(port)]
    command += [] if expose else ["--no-expose-new-tables"]
    command += ["--seed"] if seed else []
    with (directory / "supervisor.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def _run_in_foreground(folder: Path, directory: Path, port: int, expose: bool, *, seed: bool) -> None:
    from attend.stack.supervisor import Options, Supervisor  # noqa: PLC0415 - loads psycopg, which `status` need not

    def announce() -> Iterator[None]:
        _print_status(directory, Output.pretty)
        _screen.print("Ctrl-C stops it.")
        yield

    _writable(directory)
    Supervisor(Options(folder, directory, port, expose, seed=seed)).run(announce())


@app.command()
def down(project: Project = None) -> None:
    """Stop the embedded stack. The data stays; `attend reset` deletes it."""
    directory = find_project(project) / ".attend"
    _stop(directory)
    _screen.print("Stopped. The data is kept for the next `attend up`.")


def _stop(directory: Path) -> None:
    current = state.read(directory)
    if current is None or not current.supervisor.lives():
        raise NotRunningError("No stack of this project is running.", "Start one with `attend up`.")
    pid = current.supervisor.pid
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        raise StackError(
            "The stack was started by another user.", f"Stop it as that user, or: kill {pid} as root."
        ) from None
    if not wait_until(lambda: not _is_running(directory), 30.0, 0.05):
        raise StackError("The stack did not stop within 30 s.", f"End its supervisor: kill -9 {pid}")


def _is_running(directory: Path) -> bool:
    current = state.read(directory)
    return current is not None and current.supervisor.lives()


@app.command()
def status(
    project: Project = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="pretty, env or json.")] = Output.pretty,
) -> None:
    """Show addresses and keys; `-o env` prints the names `supabase status -o env` prints."""
    _print_status(find_project(project) / ".attend", output)


def _print_status(directory: Path, output: Output) -> None:
    current = state.running(directory)
    values = status_values(current.api_url, current.db_url, Keys())
    if output is Output.env:
        typer.echo("\n".join(f'{name}="{value}"' for name, value in values.items()))
    elif output is Output.json:
        typer.echo(json.dumps(values, indent=2))
    else:
        running = {
            name: f"process {process.pid}" if process.lives() else "being started again"
            for name, process in sorted(current.processes.items())
        }
        # Not a table of rich: that would cut the keys to the width of the terminal.
        rows = values | running
        widest = max(map(len, rows))
        typer.echo("\n".join(f"{name:<{widest}}  {value}" for name, value in rows.items()))


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="A process; without it, the list of them.")] = None,
    project: Project = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Keep printing what is added.")] = False,
) -> None:
    """Print what a process of the stack has logged."""
    directory = find_project(project) / ".attend"
    files = {file.stem: file for file in (*directory.glob("logs/*.log"), *directory.glob("supervisor.log"))}
    if name is None:
        typer.echo("\n".join(sorted(files)) or "No logs yet; start the stack with `attend up`.")
        return
    if name not in files:
        raise StackError(f"There is no log of {name!r}.", f"There are: {', '.join(sorted(files)) or 'none yet'}.")
    with files[name].open(errors="replace") as file:
        shutil.copyfileobj(file, sys.stdout)
        while follow:
            sys.stdout.flush()
            time.sleep(0.2)
            shutil.copyfileobj(file, sys.stdout)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(context: typer.Context, project: Project = None) -> None:
    """Open psql on the stack's database as `postgres`; further arguments are psql's own."""
    from attend.stack.installation import program  # noqa: PLC0415 - only this command needs the server's files

    url = state.running(find_project(project) / ".attend").db_url
    binary = shutil.which("psql") or str(program("psql"))
    os.execv(binary, [binary, url, *context.args])  # noqa: S606 - replaced by psql, so that Ctrl-C is psql's


@app.command()
def reset(
    project: Project = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    expose: Annotated[
        bool | None,
        typer.Option(
            "--expose-new-tables/--no-expose-new-tables", help="The new database's default privileges; as before."
        ),
    ] = None,
) -> None:
    """Delete the stack's data. A running stack is started again, with every migration applied to an empty database."""
    from attend.stack.cluster import Cluster  # noqa: PLC0415 - loads psycopg, which `status` need not

    folder = find_project(project)
    directory = folder / ".attend"
    if not yes:
        typer.confirm(f"Delete the database of {folder}?", abort=True, err=True)
    before = state.read(directory) if _is_running(directory) else None
    if before is not None:
        _stop(directory)
    Cluster(directory).delete_data()
    (directory / "new-tables").unlink(missing_ok=True)
    if before is None:
        _screen.print("Deleted. `attend up` starts with an empty database.")
        return
    mode = bool(before.options["expose_new_tables"]) if expose is None else expose
    process = _spawn_supervisor(folder, directory, int(before.options["port"]), mode, seed=True)
    wait_ready(directory, process, 90.0)
    _screen.print("Deleted and started again.")
    _print_status(directory, Output.pretty)


def _writable(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "supervisor.log").open("ab").close()
    except OSError as error:
        raise StackError(
            f"{directory} cannot be written: {error.strerror}.",
            "It was probably made by another user: remove it as that user, or change its owner.",
        ) from error


def _register_verbs(arguments: list[str]) -> None:
    """Adds the verbs of the other parts, but only the module of the one that is called: all take most of a second."""
    ours = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    called = arguments[0] if arguments else ""
    modules = [name for name, verbs in _VERB_MODULES.items() if called in verbs]
    if called not in ours:
        for name in modules or _VERB_MODULES:
            importlib.import_module(name).register(app)


def main() -> None:
    """Entry point of the console script."""
    _register_verbs(sys.argv[1:])
    try:
        app()
    except StackError as error:
        _screen.print(f"[bold red]{'Not running' if isinstance(error, NotRunningError) else 'Error'}:[/] ", end="")
        # Not wrapped: what is told here is copied, paths and commands above all.
        _screen.print(error.message, markup=False, soft_wrap=True)
        if error.hint:
            _screen.print(error.hint, markup=False, soft_wrap=True)
        sys.exit(error.exit_status)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        # Not 1, which says of some verbs that they found something.
        _screen.print(f"[bold red]Error:[/] What was to be written could not be: {error.strerror}.", soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
