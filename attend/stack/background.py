"""The background process of a stack: pg_net's sender and pg_cron's scheduler for one database.

`python -m attend.stack.background --db-url URL --directory DIR`. Two files in DIR are switches, looked at before
every batch and every tick, so that they hold across restarts of this process:

    drop-bells   everything queued in pg_net is lost unsent, as in a crash right after commit
    cron-off     nothing is scheduled, and ticks that pass are forgotten
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psycopg

from attend.stack.cron_scheduler import CronScheduler, CronSettings
from attend.stack.net_worker import NetWorker, NetWorkerSettings

DROP_BELLS = "drop-bells"
CRON_OFF = "cron-off"
log = logging.getLogger("attend.stack.background")


async def keep_running(name: str, start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a worker for ever; a lost database is waited for, starting at 50 ms and ending at 1 s."""
    pause = 0.05
    while True:
        try:
            await start()
            pause = 0.05
        except* psycopg.Error as errors:
            log.warning("%s lost the database, trying again: %s", name, errors.exceptions[0])
        # Before Python 3.13 a group whose task fails while it is cancelled says nothing of the cancellation.
        if (task := asyncio.current_task()) and task.cancelling():
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, 1.0)


async def serve(dsn: str, directory: Path) -> None:
    """Both workers, until cancelled."""
    net = NetWorkerSettings(dsn, loses_everything=(directory / DROP_BELLS).exists)
    cron = CronSettings(dsn, is_off=(directory / CRON_OFF).exists)
    async with asyncio.TaskGroup() as group:
        group.create_task(keep_running("pg_net", lambda: NetWorker(net).run()))
        group.create_task(keep_running("pg_cron", lambda: CronScheduler(cron).run()))


async def _main(dsn: str, directory: Path) -> None:
    serving = asyncio.ensure_future(serve(dsn, directory))
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, serving.cancel)
    await asyncio.wait([serving])
    if not serving.cancelled():
        await serving


def main() -> int:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(prog="python -m attend.stack.background", description=__doc__)
    parser.add_argument("--db-url", required=True, help="superuser login to the database whose queue and jobs to serve")
    parser.add_argument("--directory", required=True, type=Path, help="where the switch files are")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Each request would be a line, with its URL.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(_main(arguments.db_url, arguments.directory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
