"""What requests look like. Decoding a request *is* validating it.

The bounds are those of the contract; the tables declare the same ones, and decide.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from api.problems import INVALID, MemberError, Problem
from api.web.bodies import must

_WHITE_SPACE = r"\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's White_Space property, spelled out: each regex engine has a ``\\s`` of its own."""

_HEX = "[0-9a-fA-F]"

_INTEGER_MAX = 2_147_483_647

Name = Annotated[
    str,
    must(
        "a string of 1 to 255 Unicode characters, not only white space, without U+0000",
        min_length=1,
        max_length=255,
        pattern=rf"^[^\u0000]*[^\u0000{_WHITE_SPACE}][^\u0000]*\Z",
    ),
]
Description = Annotated[
    str,
    must(
        "a string of at most 10000 Unicode characters, without U+0000",
        max_length=10_000,
        pattern=r"^[^\u0000]*\Z",
    ),
]
Allocation = Annotated[int, must(f"an integer from 0 to {_INTEGER_MAX}", ge=0, le=_INTEGER_MAX)]
Quantity = Annotated[int, must(f"an integer from 1 to {_INTEGER_MAX}", ge=1, le=_INTEGER_MAX)]
UserID = Annotated[
    str,
    must(
        "a UUID such as 406c1d05-bbb2-4e94-b183-7d208c2692e1",
        pattern=rf"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\Z",
    ),
]


Remaining = Annotated[int, must(f"an integer from 0 to {_INTEGER_MAX}", ge=0, le=_INTEGER_MAX)]
Seconds = Annotated[int, must("an integer from 1 to 86400", ge=1, le=86_400)]
Limit = Annotated[int, must(f"an integer from 1 to {_INTEGER_MAX}, or null", ge=1, le=_INTEGER_MAX)]
_MOMENT = "a date and time with an offset as in RFC 3339, such as 2026-11-25T09:00:00Z, or null"
Moment = Annotated[
    str,
    must(
        _MOMENT,
        pattern=(
            r"^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
            r"[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
            r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\Z"
        ),
    ),
]
Paused = Annotated[bool, must("true, false or null")]


class NewTicketOption(msgspec.Struct):
    """The body of ``POST /ticket_options``."""

    name: Name
    desc: Description
    allocation: Allocation
    max_per_purchase: Limit | None = None
    max_per_user: Limit | None = None
    on_sale_from: Moment | None = None
    on_sale_until: Moment | None = None
    paused: Paused | None = None

    def __post_init__(self) -> None:
        _normalize_window(self)


class TicketOptionChanges(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``PATCH /ticket_options/:id``."""

    name: Name | UnsetType = UNSET
    desc: Description | UnsetType = UNSET
    capacity: Allocation | UnsetType = UNSET
    max_per_purchase: Limit | UnsetType | None = UNSET
    max_per_user: Limit | UnsetType | None = UNSET
    on_sale_from: Moment | UnsetType | None = UNSET
    on_sale_until: Moment | UnsetType | None = UNSET
    paused: Paused | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        _normalize_window(self)


class NewPurchase(msgspec.Struct):
    """The body of ``POST /ticket_options/:id/purchases``."""

    quantity: Quantity
    user_id: UserID


class PurchaseChanges(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``PATCH /ticket_options/:id/purchases/:id``."""

    quantity: Remaining


class NewHold(msgspec.Struct):
    """The body of ``POST /ticket_options/:id/holds``."""

    quantity: Quantity
    user_id: UserID
    expires_in_seconds: Seconds = 600


class Nothing(msgspec.Struct):
    """The body of ``POST /ticket_options/:id/holds/:id/purchase``, if there is one."""


def _normalize_window(option: NewTicketOption | TicketOptionChanges) -> None:
    """Write the moments as they are represented: in UTC, with microseconds.

    Raises:
        Problem: ``invalid``, for what no member's pattern shows.
    """
    errors = []
    for name in ("on_sale_from", "on_sale_until"):
        given = getattr(option, name)
        if isinstance(given, str):
            try:
                moment = msgspec.convert(given, datetime).astimezone(timezone.utc)
            except (
                msgspec.ValidationError,
                OverflowError,
            ):  # no such day, or outside the years 1 to 9999
                errors.append(MemberError(f"/{name}", f"must be {_MOMENT}"))
            else:
                setattr(option, name, moment.isoformat(timespec="microseconds")[:-6] + "Z")
    begin, end = option.on_sale_from, option.on_sale_until
    if not errors and isinstance(begin, str) and isinstance(end, str) and begin >= end:
        errors.append(MemberError("/on_sale_until", "must be later than on_sale_from"))
    if errors:
        raise Problem(INVALID, errors=errors)
