"""Errors as the service answers them: RFC 9457 problem details.

This is the one place that knows how to answer an outcome, an SQLSTATE or an exception of the
database layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from api.database.errors import (
    DatabaseError,
    NotReadyError,
    OverloadedError,
    RefusedError,
    UnavailableError,
)


class MemberError(msgspec.Struct):
    """What is wrong with one member of a request's body."""

    pointer: str
    """RFC 6901, such as ``/quantity``."""
    detail: str


class Kind(NamedTuple):
    """A kind of problem: what stays the same each time that it occurs."""

    status: int
    code: str
    title: str
    detail: str


MALFORMED_JSON = Kind(
    400, "malformed_json", "Malformed JSON", "The body is not a JSON object in UTF-8."
)
MALFORMED_HEADER = Kind(
    400, "malformed_header", "Malformed header", "A header of the request is malformed."
)
NOT_FOUND = Kind(404, "not_found", "Not found", "There is nothing at this address.")
METHOD_NOT_ALLOWED = Kind(
    405,
    "method_not_allowed",
    "Method not allowed",
    "The method is not one of those that Allow names.",
)
SOLD_OUT = Kind(
    409, "sold_out", "Sold out", "Fewer tickets are left than were asked for. Nothing was taken."
)
BODY_TOO_LARGE = Kind(413, "body_too_large", "Body too large", "The body is larger than 64 KiB.")
UNSUPPORTED_MEDIA_TYPE = Kind(
    415,
    "unsupported_media_type",
    "Unsupported media type",
    "The body must be application/json, and its Content-Type must say so.",
)
INVALID = Kind(422, "invalid", "Invalid", "The body is not what is expected here: see errors.")
IDEMPOTENCY_KEY_REUSED = Kind(
    422,
    "idempotency_key_reused",
    "Idempotency key reused",
    "This Idempotency-Key has been used before, with a different body. Nothing was changed.",
)
OVERLOADED = Kind(
    503,
    "overloaded",
    "Overloaded",
    "The service is too busy to take this request. Nothing was stored. Try again later.",
)
UNAVAILABLE = Kind(
    503,
    "unavailable",
    "Unavailable",
    "The service is temporarily unavailable. Try again later.",
)
INTERNAL = Kind(
    500, "internal", "Internal error", "The service failed. Its log has more, by the request id."
)

MAY_BE_STORED = (
    "The service is temporarily unavailable. This request may or may not have been stored. "
    "Sending it again with the same Idempotency-Key is safe: it will not be stored twice. "
    "Without a key it might be."
)
"""What `UNAVAILABLE` says to a request that stores something."""

KIND_OF_OUTCOME = {
    "not_found": NOT_FOUND,
    "sold_out": SOLD_OUT,
    "exists_different": IDEMPOTENCY_KEY_REUSED,
}
"""The refusals among the outcomes that the functions for the service return."""

KIND_OF_SQLSTATE = {
    "TK001": NOT_FOUND,
    "TK002": SOLD_OUT,
    "TK003": INVALID,
    "TK004": IDEMPOTENCY_KEY_REUSED,
    "40001": OVERLOADED,  # serialization_failure
    "40P01": OVERLOADED,  # deadlock_detected
    "55P03": OVERLOADED,  # lock_not_available: lock_timeout
    "57014": OVERLOADED,  # query_canceled: statement_timeout
    "25P04": OVERLOADED,  # transaction_timeout
    "53": UNAVAILABLE,  # insufficient resources, a full disk among them
    "08": UNAVAILABLE,  # connection exception
    "57": UNAVAILABLE,  # operator intervention: a shutdown, a crash of another backend
    "58": UNAVAILABLE,  # system error: I/O
    "25": UNAVAILABLE,  # invalid transaction state, read_only_sql_transaction among them
    "28": UNAVAILABLE,  # invalid authorization
    "0P": UNAVAILABLE,  # invalid role
    "54000": UNAVAILABLE,  # program_limit_exceeded: no transaction ids are left
    "3D000": UNAVAILABLE,  # the database, ...
    "3F000": UNAVAILABLE,  # ... the schema, ...
    "42883": UNAVAILABLE,  # ... the function, ...
    "42P01": UNAVAILABLE,  # ... or the table is not there: not migrated
    "42501": UNAVAILABLE,  # insufficient_privilege: not migrated by the owner
}
"""By the whole code, or else by its class."""

KIND_OF_ERROR: dict[type[DatabaseError], tuple[Kind, str]] = {
    OverloadedError: (OVERLOADED, OVERLOADED.detail),
    UnavailableError: (UNAVAILABLE, UNAVAILABLE.detail),
    NotReadyError: (UNAVAILABLE, "The service is waiting for its database. Try again later."),
}
"""The exceptions of the database layer, and what a client is told."""

RETRY_AFTER_SECONDS = 1
"""What a 503 asks a client to wait."""


class Problem(Exception):  # noqa: N818, as RFC 9457 calls it
    """A request ends with this answer instead of the one it was after.

    Attributes:
        room: if a full queue refused the request: how many that queue would take now.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str | None = None,
        *,
        errors: Sequence[MemberError] = (),
        headers: Sequence[tuple[str, str]] = (),
        room: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(kind.code)
        self.kind = kind
        self.detail = detail or kind.detail
        self.errors = errors
        self.headers = list(headers)
        self.room = room
        if kind.status == 503:
            self.headers.append(("Retry-After", str(RETRY_AFTER_SECONDS)))

    def body(self) -> bytes:
        """The problem details as JSON."""
        members = {
            "type": f"/openapi.json#/components/examples/{self.kind.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "code": self.kind.code,
        }
        return msgspec.json.encode({**members, "errors": self.errors} if self.errors else members)


def problem_of(error: DatabaseError) -> Problem | None:
    """The problem that an exception of the database layer stands for; None if it is a bug."""
    if isinstance(error, RefusedError):
        sqlstate = error.sqlstate or ""
        kind = KIND_OF_SQLSTATE.get(sqlstate) or KIND_OF_SQLSTATE.get(sqlstate[:2])
        if kind is INVALID:
            return Problem(kind, errors=[MemberError("", str(error))])
        return Problem(kind) if kind else None
    kind, detail = KIND_OF_ERROR[type(error)]
    room = error.room if isinstance(error, OverloadedError) else None
    return Problem(kind, detail, room=room)
