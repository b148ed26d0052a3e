"""Decoding the bodies of requests."""

from __future__ import annotations

import json
from typing import Any, Generic, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from api.problems import INVALID, MALFORMED_JSON, MemberError, Problem

T = TypeVar("T", bound=msgspec.Struct)


def must(be: str, **bounds: Any) -> Meta:
    """The bounds of a member, and how they are said to a client that broke them."""
    return Meta(**bounds, extra={"must": f"must be {be}"})


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
