"""Errors as the service answers them: RFC 9457 problem details.

This is the one place that knows how to answer an outcome, an SQLSTATE or an exception of the
database layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from api.database.errors import (
    DatabaseError,
    NotReadyError,
    OverloadedError,
    RefusedError,
    UnavailableError,
)


class MemberError(msgspec.Struct):
    """What is wrong with one member of a request body."""

    pointer: str
    """RFC 6901, such as ``/quantity``."""
    detail: str


class ParameterError(msgspec.Struct):
    """What is wrong with one parameter of the query."""

    parameter: str
    detail: str


class Kind(NamedTuple):
    """A kind of problem: what is the same each time it occurs."""

    status: int
    code: str
    title: str
    detail: str


MALFORMED_JSON = Kind(
    400, "malformed_json", "Malformed JSON", "The body is not a JSON object in UTF-8."
)
MALFORMED_HEADER = Kind(
    400, "malformed_header", "Malformed header", "A request header is malformed."
)
NOT_FOUND = Kind(404, "not_found", "Not found", "No such resource.")
METHOD_NOT_ALLOWED = Kind(
    405,
    "method_not_allowed",
    "Method not allowed",
    "This method is not allowed here; see the Allow header.",
)
SOLD_OUT = Kind(
    409, "sold_out", "Sold out", "Fewer tickets are left than were requested. Nothing was taken."
)
NOT_ON_SALE = Kind(
    409,
    "not_on_sale",
    "Not on sale",
    "The ticket option is not on sale at the moment; see reason. Nothing was taken.",
)
LIMIT_REACHED = Kind(
    409,
    "limit_reached",
    "Limit reached",
    "This is more than one purchase may have, or one user; see limit. Nothing was taken.",
)
CAPACITY_IN_USE = Kind(
    409,
    "capacity_in_use",
    "Capacity in use",
    "More tickets than that are sold and held. Nothing was changed.",
)
HOLD_EXPIRED = Kind(
    409,
    "hold_expired",
    "Hold expired",
    "The hold has expired, and its tickets could not be taken again. Nothing was taken.",
)
HOLD_RELEASED = Kind(
    409, "hold_released", "Hold released", "The hold was released. Nothing was taken."
)
HOLD_PURCHASED = Kind(
    409,
    "hold_purchased",
    "Hold purchased",
    "The hold has been purchased. To give its tickets back, delete the purchase.",
)
BODY_TOO_LARGE = Kind(413, "body_too_large", "Body too large", "The body exceeds 64 KiB.")
UNSUPPORTED_MEDIA_TYPE = Kind(
    415,
    "unsupported_media_type",
    "Unsupported media type",
    "The body must be application/json, and its Content-Type must say so.",
)
INVALID = Kind(422, "invalid", "Invalid", "The request is invalid; see errors.")
IDEMPOTENCY_KEY_REUSED = Kind(
    422,
    "idempotency_key_reused",
    "Idempotency key reused",
    "This Idempotency-Key was already used with a different body. Nothing was changed.",
)
OVERLOADED = Kind(
    503,
    "overloaded",
    "Overloaded",
    "The service is overloaded and did not take this request. Nothing was stored. "
    "Retry after the time in Retry-After.",
)
UNAVAILABLE = Kind(
    503,
    "unavailable",
    "Unavailable",
    "The service is temporarily unavailable. Retry after the time in Retry-After.",
)
INTERNAL = Kind(
    500, "internal", "Internal error", "Internal error. Quote the X-Request-ID when you report it."
)

MAY_BE_STORED = (
    "The service is temporarily unavailable. This request may or may not have been stored. "
    "Retrying with the same Idempotency-Key is safe: it is stored at most once. "
    "Without a key, a retry might be stored a second time."
)
"""The detail of `UNAVAILABLE` for a request that stores something new."""

MAY_BE_DONE = (
    "The service is temporarily unavailable. This request may or may not have been carried out. "
    "Retrying is safe: it has the same result however often it is sent."
)
"""The detail of `UNAVAILABLE` for a request that changes what is stored."""

MAY_BE_CHANGED = (
    "The service is temporarily unavailable. The change may or may not have been made. "
    "Read the ticket option before you retry: somebody else may have changed it meanwhile."
)
"""The detail of `UNAVAILABLE` for a change of an option, which is not the same made later."""

KIND_OF_OUTCOME = {
    "not_found": NOT_FOUND,
    "sold_out": SOLD_OUT,
    "exists_different": IDEMPOTENCY_KEY_REUSED,
    "not_on_sale": NOT_ON_SALE,
    "limit_reached": LIMIT_REACHED,
    "hold_expired": HOLD_EXPIRED,
    "hold_released": HOLD_RELEASED,
    "hold_purchased": HOLD_PURCHASED,
}
"""The refusals among the outcomes that the functions return."""

KIND_OF_SQLSTATE = {
    "TK001": NOT_FOUND,
    "TK002": SOLD_OUT,
    "TK003": INVALID,
    "TK004": IDEMPOTENCY_KEY_REUSED,
    "TK005": NOT_ON_SALE,
    "TK006": LIMIT_REACHED,
    "TK007": CAPACITY_IN_USE,
    "TK008": HOLD_EXPIRED,
    "TK009": HOLD_RELEASED,
    "TK010": HOLD_PURCHASED,
    "TK011": INVALID,
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
    NotReadyError: (
        UNAVAILABLE,
        "The service is waiting for its database. Retry after the time in Retry-After.",
    ),
}
"""The exceptions of the database layer, and what a client is told."""

RETRY_AFTER_SECONDS = 1
"""How long a 503 asks a client to wait."""


class Problem(Exception):  # noqa: N818, as RFC 9457 calls it
    """Ends a request with this answer.

    Args:
        members: what else there is to say, for programs.

    Attributes:
        room: if a full queue refused the request, returns how many that queue would take now.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str | None = None,
        *,
        errors: Sequence[MemberError | ParameterError] = (),
        members: Mapping[str, Any] | None = None,
        headers: Sequence[tuple[str, str]] = (),
        room: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(kind.code)
        self.kind = kind
        self.detail = detail or kind.detail
        self.errors: Sequence[Any] = errors
        self.members = members
        self.headers = list(headers)
        self.room = room
        if kind.status == 503:
            self.headers.append(("Retry-After", str(RETRY_AFTER_SECONDS)))

    def body(self) -> bytes:
        """The problem details as JSON."""
        members: dict[str, Any] = {
            "type": f"/openapi.json#/components/examples/{self.kind.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "code": self.kind.code,
        }
        if self.members is not None:
            members.update(self.members)
        if self.errors:
            members["errors"] = self.errors
        return msgspec.json.encode(members)


def problem_of_outcome(outcome: str, members: Mapping[str, Any] | None = None) -> Problem:
    """The problem that a refusal stands for.

    Raises:
        KeyError: it is no refusal, and no outcome that is known.
    """
    return Problem(KIND_OF_OUTCOME[outcome], members=members)


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
