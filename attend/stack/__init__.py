"""The embedded stack: Postgres with the platform contract, background workers, gateway and functions, without Docker.

It provides what docs/decisions.md lists of a Supabase project and no more. `Stack` runs one from Python; the command
line is `attend up`.
"""

from attend.stack.errors import StackError
from attend.stack.handle import Stack

__all__ = ["Stack", "StackError"]
