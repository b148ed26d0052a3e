"""Decoding the bodies of requests."""

from __future__ import annotations

import json
from typing import Any, Generic, NoReturn, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta

from api.problems import INVALID, MALFORMED_JSON, MemberError, Problem

T = TypeVar("T", bound=msgspec.Struct)


def must(be: str, **bounds: Any) -> Meta:
    """The bounds of a member, and how to explain them to a client that broke them."""
    return Meta(**bounds, extra={"must": f"must be {be}"})


class Decoder(Generic[T]):
    """Decodes bodies of one type."""

    def __init__(self, struct: type[T]) -> None:
        self._struct = struct
        self._decode = msgspec.json.Decoder(struct).decode

    def decode(self, body: bytes) -> T:
        """Decode a body.

        Raises:
            Problem: ``malformed_json``, or ``invalid``, listing every invalid member; a struct may
                raise more of them from ``__post_init__``, about several members together.
        """
        try:
            return self._decode(body.decode())
        except UnicodeDecodeError:
            raise Problem(MALFORMED_JSON) from None
        except (msgspec.DecodeError, RecursionError):
            return self._decode_member_by_member(body.decode())

    def _decode_member_by_member(self, text: str) -> T:
        """Decode slowly, to report every invalid member and not only the first."""
        try:
            members = json.loads(text, parse_constant=_refuse_constant, parse_int=_parse_int)
        except (ValueError, RecursionError):
            raise Problem(MALFORMED_JSON) from None
        if not isinstance(members, dict):
            raise Problem(MALFORMED_JSON)

        values: dict[str, Any] = {}
        errors: list[Any] = []
        for field in msgspec.structs.fields(self._struct):
            name = field.encode_name
            if name not in members:
                if field.required:
                    errors.append(MemberError(f"/{name}", "is required"))
                    values[field.name] = UNSET
                continue
            try:
                values[field.name] = msgspec.convert(members[name], field.type)
                str(members[name]).encode()
            except (msgspec.ValidationError, UnicodeEncodeError):
                errors.append(MemberError(f"/{name}", _what_it_must(field.type)))
                values[field.name] = UNSET
        if self._struct.__struct_config__.forbid_unknown_fields:
            known = self._struct.__struct_encode_fields__
            errors += [
                MemberError(_pointer(name), "cannot be changed")
                for name in members
                if name not in known
            ]
        try:
            decoded = self._struct(**values)
        except Problem as problem:  # about the members that are valid by themselves
            errors += problem.errors
        if errors:
            raise Problem(INVALID, errors=errors)
        return decoded


def _what_it_must(kind: Any) -> str:
    """How a member is explained whose type is an annotated one, perhaps in a union."""
    [explained] = [each for each in (kind, *get_args(kind)) if hasattr(each, "__metadata__")]
    must: str = explained.__metadata__[0].extra["must"]
    return must


def _pointer(name: str) -> str:
    """The JSON Pointer of any member; what is no Unicode is replaced."""
    text = name.encode("utf-8", "replace").decode()
    return "/" + text.replace("~", "~0").replace("/", "~1")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parse_int(digits: str) -> float:
    """An integer, unless it is too long for Python to parse, and so too large anyway."""
    return int(digits) if len(digits) < 20 else float(digits)
