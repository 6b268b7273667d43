"""Errors of the embedded stack. The message says what happened, `hint` says what to do next."""

from __future__ import annotations


class StackError(Exception):
    """Anything that keeps the embedded stack from doing what was asked; printed as it is by the command line."""

    exit_status = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n{hint}" if hint else message)
        self.message = message
        self.hint = hint


class MissingLibraryError(StackError):
    """The packaged Postgres needs a shared library that this system lacks."""


class StartError(StackError):
    """Postgres did not become ready."""


class PortTakenError(StackError):
    """Another program listens on a port the stack was told to use."""


class AlreadyRunningError(StackError):
    """A stack of this project is running already."""


class NotRunningError(StackError):
    """No stack of this project is running."""


class MigrationError(StackError):
    """A statement of a migration was refused; nothing of that migration was applied."""
