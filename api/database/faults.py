"""What an error of the database says about a call: whose fault it is."""

from __future__ import annotations

import enum

import psycopg

from api.database.errors import DatabaseError, RefusedError

LOCK_NOT_AVAILABLE = "55P03"
"""The wait for a lock timed out."""


class Fault(enum.Enum):
    """What is at fault when a call fails."""

    OF_REQUEST = "the call itself: it would fail in the same way again"
    OF_DATABASE = "the database, which cannot do this for anybody at the moment"
    OF_TIMING = "another transaction; the call was rolled back because of it"
    OF_TIMEOUT = "the time it took; the call was rolled back"
    OF_CONNECTION = "the connection, which is not as the service needs it; nothing was done"
    OF_STATEMENT = "the connection, whose prepared statement no longer fits the database"
    UNKNOWN_OUTCOME = "the connection, which broke; the call may have been committed"


_FAULT_OF_SQLSTATE = {
    "40001": Fault.OF_TIMING,  # serialization_failure
    "40P01": Fault.OF_TIMING,  # deadlock_detected
    LOCK_NOT_AVAILABLE: Fault.OF_TIMEOUT,  # lock_timeout
    "57014": Fault.OF_TIMEOUT,  # query_canceled: statement_timeout
    "25P04": Fault.OF_TIMEOUT,  # transaction_timeout
    # The server's, when it ends a session around the commit; and a pooler's, for lost servers.
    "08": Fault.UNKNOWN_OUTCOME,  # connection exception
    "57P": Fault.UNKNOWN_OUTCOME,  # a shutdown, a crash of another backend, idle_session_timeout
    "25": Fault.OF_CONNECTION,  # invalid transaction state, read_only_sql_transaction among them
    "28": Fault.OF_CONNECTION,  # invalid authorization
    "0P": Fault.OF_CONNECTION,  # invalid role
    "42501": Fault.OF_CONNECTION,  # insufficient_privilege
    "0A000": Fault.OF_STATEMENT,  # feature_not_supported: "cached plan must not change result type"
    "26000": Fault.OF_STATEMENT,  # a prepared statement that no longer exists, ...
    "42P05": Fault.OF_STATEMENT,  # ... or already does
    "53": Fault.OF_DATABASE,  # insufficient resources, a full disk among them
    "57": Fault.OF_DATABASE,  # operator intervention
    "58": Fault.OF_DATABASE,  # system error: I/O
    "54000": Fault.OF_DATABASE,  # program_limit_exceeded: no transaction ids are left
    "3D000": Fault.OF_DATABASE,  # the database, ...
    "3F000": Fault.OF_DATABASE,  # ... the schema, ...
    "42883": Fault.OF_DATABASE,  # ... the function, ...
    "42P01": Fault.OF_DATABASE,  # ... or the table does not exist: not migrated
}
"""By the whole code, or else by as much of its beginning."""


def fault_of(error: psycopg.Error) -> Fault:
    """What is at fault for an error of psycopg's."""
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError):
        # libpq's own: the connection broke, or was given up because no answer came.
        return Fault.UNKNOWN_OUTCOME
    return _fault_of_sqlstate(error.sqlstate)


def is_one_items_fault(error: Exception) -> bool:
    """Whether the error of a call may be the fault of one of the items that share it.

    That the database is away, or that somebody else holds a lock, is not.
    """
    if isinstance(error, RefusedError):
        return _fault_of_sqlstate(error.sqlstate) in (Fault.OF_REQUEST, Fault.OF_STATEMENT)
    return not isinstance(error, DatabaseError)


def _fault_of_sqlstate(sqlstate: str | None) -> Fault:
    for length in (5, 3, 2):
        if fault := _FAULT_OF_SQLSTATE.get((sqlstate or "")[:length]):
            return fault
    return Fault.OF_REQUEST
