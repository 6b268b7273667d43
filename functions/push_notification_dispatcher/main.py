"""Adapter: `functions-framework --source functions/push_notification_dispatcher/main.py --target main`.

The command loads this file in the server's parent process and forks (see `shared.lifecycle`): what is made here holds
no socket, loop, lock or setting.
"""

import time

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions.push_notification_dispatcher.handler import handle, make_ports
from functions.push_notification_dispatcher.settings import DispatcherSettings
from shared import logs
from shared.lifecycle import PerLoop, Shutdown

logs.configure()
_shutdown = Shutdown()
_ports = PerLoop(lambda: make_ports(DispatcherSettings.load(), monotonic=time.monotonic, stopping=_shutdown.requested))


@functions_framework.aio.http
async def main(request: Request) -> Response:
    """Answer one request."""
    _shutdown.watch()
    return await handle(request, _ports.get)
