"""A scratch server for developers: `python -m attend.stack.scratch [--no-migrations] [--closed] [file.sql …]`.

Starts a cluster with the platform applied, applies supabase/migrations and then the given files as `postgres`,
prints its URL and keeps it until Ctrl-C (or `--exit` to leave at once; its exit status tells whether all of it
applied).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

import psycopg

from attend.stack import installation, migrations
from attend.stack.cluster import Cluster
from attend.stack.errors import StackError
from attend.stack.processes import postgres_account


def main() -> int:
    """Runs the scratch server; the exit status is 1 when something did not apply."""
    parser = argparse.ArgumentParser(prog="python -m attend.stack.scratch", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="SQL files applied after the migrations")
    parser.add_argument("--migrations", type=Path, default=Path("supabase/migrations"))
    parser.add_argument("--no-migrations", action="store_true")
    parser.add_argument("--closed", action="store_true", help="new tables are not exposed to the API roles")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--exit", action="store_true", help="stop right after applying")
    arguments = parser.parse_args()
    directory = installation.clusters_directory(postgres_account()) / f"scratch-{os.getpid()}"
    cluster = Cluster(directory, arguments.port, expose_new_tables=not arguments.closed)
    try:
        cluster.start()
        if not arguments.no_migrations:
            applied = migrations.apply(cluster.dsn(), arguments.migrations)
            sys.stderr.write(f"applied {applied}\n")
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            for file in arguments.files:
                connection.execute(file.read_bytes(), prepare=False)
        sys.stdout.write(cluster.dsn() + "\n")
        sys.stdout.flush()
        if not arguments.exit:
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except (StackError, psycopg.Error) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        cluster.remove()
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    sys.exit(main())
