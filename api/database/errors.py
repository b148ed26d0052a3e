"""What the database layer raises. It knows no HTTP: api/problems.py maps these to answers."""

from __future__ import annotations

from collections.abc import Callable


class DatabaseError(Exception):
    """A call did not return what it was made for."""


class OverloadedError(DatabaseError):
    """There was no room for the call, or its option stayed locked. Nothing was stored.

    Attributes:
        room: if a full queue refused it, returns how many calls that queue would take now.
    """

    def __init__(self, room: Callable[[], int] | None = None) -> None:
        super().__init__("overloaded")
        self.room = room


class UnavailableError(DatabaseError):
    """The outcome is unknown: what the call writes may or may not have been stored.

    Its cause is the last error of the database, if there was one.
    """

    def __init__(self) -> None:
        super().__init__("unavailable")


class NotReadyError(DatabaseError):
    """The database is not the one that this build needs. Nothing was stored."""

    def __init__(self) -> None:
        super().__init__("not ready")


class RefusedError(DatabaseError):
    """The database raised an error. Nothing was stored.

    Attributes:
        sqlstate: its code; None if the error is psycopg's own.
    """

    def __init__(self, sqlstate: str | None, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
