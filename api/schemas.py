"""What requests and answers look like. Decoding a request *is* validating it.

The bounds are those of the contract; the tables declare the same ones, and decide.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Generic, NoReturn, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from api.problems import INVALID, MALFORMED_JSON, MemberError, Problem

_WHITE_SPACE = r"\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Unicode's White_Space property, spelled out: each regex engine has a ``\\s`` of its own."""

_HEX = "[0-9a-fA-F]"

_INTEGER_MAX = 2_147_483_647

T = TypeVar("T", bound=msgspec.Struct)


def _must(be: str, **bounds: Any) -> Meta:
    """The bounds of a member, and how they are said to a client that broke them."""
    return Meta(**bounds, extra={"must": f"must be {be}"})


Name = Annotated[
    str,
    _must(
        "a string of 1 to 255 Unicode characters, not only white space, without U+0000",
        min_length=1,
        max_length=255,
        pattern=rf"^[^\u0000]*[^\u0000{_WHITE_SPACE}][^\u0000]*\Z",
    ),
]
Description = Annotated[
    str,
    _must(
        "a string of at most 10000 Unicode characters, without U+0000",
        max_length=10_000,
        pattern=r"^[^\u0000]*\Z",
    ),
]
Allocation = Annotated[int, _must(f"an integer from 0 to {_INTEGER_MAX}", ge=0, le=_INTEGER_MAX)]
Quantity = Annotated[int, _must(f"an integer from 1 to {_INTEGER_MAX}", ge=1, le=_INTEGER_MAX)]
UserID = Annotated[
    str,
    _must(
        "a UUID such as 406c1d05-bbb2-4e94-b183-7d208c2692e1",
        pattern=rf"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}\Z",
    ),
]


class NewTicketOption(msgspec.Struct):
    """The body of ``POST /ticket_options``."""

    name: Name
    desc: Description
    allocation: Allocation


class TicketOption(msgspec.Struct):
    """A ticket option, as it is answered."""

    id: str
    name: str
    desc: str
    allocation: int


class NewPurchase(msgspec.Struct):
    """The body of ``POST /ticket_options/:id/purchases``."""

    quantity: Quantity
    user_id: UserID


class Purchase(msgspec.Struct):
    """A purchase, as it is answered."""

    id: UUID
    ticket_option_id: UUID
    user_id: UUID
    quantity: int
    created_at: datetime


class Decoder(Generic[T]):
    """Decodes bodies of one type."""

    def __init__(self, struct: type[T]) -> None:
        self._struct = struct
        self._decode = msgspec.json.Decoder(struct).decode

    def decode(self, body: bytes) -> T:
        """Decode a body.

        Raises:
            Problem: ``malformed_json``, or ``invalid`` with every member that is wrong.
        """
        try:
            return self._decode(body.decode())
        except UnicodeDecodeError:
            raise Problem(MALFORMED_JSON) from None
        except (msgspec.DecodeError, RecursionError):
            return self._decode_member_by_member(body.decode())

    def _decode_member_by_member(self, text: str) -> T:
        """Decode slowly, so as to tell every member that is wrong and not only the first."""
        try:
            members = json.loads(text, parse_constant=_refuse_constant, parse_int=_parse_int)
        except (ValueError, RecursionError):
            raise Problem(MALFORMED_JSON) from None
        if not isinstance(members, dict):
            raise Problem(MALFORMED_JSON)

        values, errors = {}, []
        for field in msgspec.structs.fields(self._struct):
            name = field.encode_name
            if name not in members:
                errors.append(MemberError(f"/{name}", "is required"))
                continue
            try:
                values[field.name] = msgspec.convert(members[name], field.type)
                str(members[name]).encode()
            except (msgspec.ValidationError, UnicodeEncodeError):
                errors.append(MemberError(f"/{name}", field.type.__metadata__[0].extra["must"]))
        if errors:
            raise Problem(INVALID, errors=errors)
        return self._struct(**values)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parse_int(digits: str) -> float:
    """An integer, unless it is so long that Python would refuse to read it: too large anyway."""
    return int(digits) if len(digits) < 20 else float(digits)
