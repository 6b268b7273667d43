"""The API in front of the embedded database: `/rest/v1` as PostgREST 16 answers it, `/functions/v1` proxied.

It mirrors the part of PostgREST that the platform contract lists ("PostgREST 16") and answers 501 for the
rest. The recordings under `tests/contract/postgrest` say what equal means.
"""

from attend.stack.gateway.app import create_app
from attend.stack.gateway.settings import GatewaySettings

__all__ = ["GatewaySettings", "create_app"]
