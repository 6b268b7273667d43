"""The embedded stack: Postgres with the platform contract, background workers, gateway and functions, without Docker.

It provides what our migrations and functions rely on of a Supabase project and no more; what it leaves out says so
(501 from the gateway). `Stack` runs one from Python; the command line is `attend up`.
"""

from attend.stack.errors import StackError
from attend.stack.handle import Stack

__all__ = ["Stack", "StackError"]
