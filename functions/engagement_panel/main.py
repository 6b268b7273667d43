"""Adapter: `functions-framework --source functions/engagement_panel/main.py --target main`.

The command loads this file in the server's parent process and forks (see `shared.lifecycle`): what is made here holds
no socket, loop, lock or setting.
"""

import time

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import Response

from functions.engagement_panel.handler import handle, make_ports
from functions.engagement_panel.settings import PanelSettings
from shared import logs
from shared.lifecycle import PerLoop

logs.configure()
_ports = PerLoop(lambda: make_ports(PanelSettings.load(), monotonic=time.monotonic))


@functions_framework.aio.http
async def main(request: Request) -> Response:
    """Answer one request."""
    return await handle(request, _ports.get)
