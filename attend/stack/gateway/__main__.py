"""`python -m attend.stack.gateway`: the gateway as a process, set by `ATTEND_GATEWAY_*`."""

import sys

import uvicorn
from pydantic import ValidationError

from attend.stack.gateway import GatewaySettings, create_app


def main() -> int:
    try:
        settings = GatewaySettings()  # pyright: ignore[reportCallIssue]  # filled from the environment
    except ValidationError as error:
        names = ", ".join("ATTEND_GATEWAY_" + "_".join(map(str, item["loc"])).upper() for item in error.errors())
        sys.stderr.write(f"The gateway cannot start: missing or wrong {names}\n")
        return 2
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
