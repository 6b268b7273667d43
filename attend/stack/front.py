"""One address in front of several function processes, for `attend serve`: `python -m attend.stack.front`.

The gateway's `/functions/v1/<name>` without its database side. Set by `ATTEND_FRONT_FUNCTIONS` (JSON object, name to
base URL), `ATTEND_FRONT_HOST` and `ATTEND_FRONT_PORT`.
"""

from __future__ import annotations

import json
import os
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from attend.stack.gateway.errors import ApiError
from attend.stack.gateway.functions import FunctionProxy

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app(functions: dict[str, str], seconds: float = 300.0) -> Starlette:
    """The application; errors are `{code, message, details, hint}` as everywhere."""
    proxy = FunctionProxy(functions, seconds)

    async def forward(request: Request) -> Response:
        try:
            return await proxy.forward(request)
        except ApiError as error:
            return JSONResponse(error.body(), error.status, headers=error.headers)

    async def ready(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/_ready", ready),
            Route("/functions/v1/{name}", forward, methods=_METHODS),
            Route("/functions/v1/{name}/{path:path}", forward, methods=_METHODS),
        ]
    )


def main() -> int:
    """Entry point of the process."""
    uvicorn.run(
        create_app(json.loads(os.environ["ATTEND_FRONT_FUNCTIONS"])),
        host=os.environ.get("ATTEND_FRONT_HOST", "127.0.0.1"),
        port=int(os.environ["ATTEND_FRONT_PORT"]),
        access_log=False,
        log_level="warning",
        server_header=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
