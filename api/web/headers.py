"""The request headers that the service interprets."""

from __future__ import annotations

import re
from typing import Protocol
from urllib.request import parse_http_list

from api.ids import random_digits
from api.problems import MALFORMED_HEADER, Problem

_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
_QUOTED_KEY = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE_KEY = re.compile(r"[\x21\x23-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_ENTITY_TAG = re.compile(r'\*|"[^"]*"')

KEY_LENGTH_MAX = 255


class Headers(Protocol):
    """The headers of a request. Names are case-insensitive."""

    def get(self, name: str, /) -> str | None: ...

    def get_list(self, name: str, /) -> list[str]: ...


def request_id(headers: Headers) -> str:
    """The request's ``X-Request-ID`` if it is safe to log, or else a new one."""
    given = headers.get("X-Request-ID")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return random_digits(32)


def idempotency_key(headers: Headers) -> str | None:
    """The ``Idempotency-Key``, without quotes: 1 to 255 printable ASCII characters.

    Raises:
        Problem: ``malformed_header``.
    """
    if headers.get("Idempotency-Key") is None:
        return None
    values = headers.get_list("Idempotency-Key")
    if len(values) == 1:
        quoted = _QUOTED_KEY.fullmatch(values[0])
        if quoted or _BARE_KEY.fullmatch(values[0]):
            key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else values[0]
            if 1 <= len(key) <= KEY_LENGTH_MAX:
                return key
    raise Problem(
        MALFORMED_HEADER,
        f"Idempotency-Key must be one string of 1 to {KEY_LENGTH_MAX} printable ASCII characters, "
        "bare or in double quotes.",
    )


def prefers_representation(headers: Headers) -> bool:
    """Whether ``Prefer`` (RFC 7240) asks for the stored resource in the answer.

    If a preference is given twice, the first counts; other preferences are ignored.
    """
    # Split by the library, because quoted strings may contain commas.
    given = headers.get("Prefer")
    for preference in parse_http_list(given) if given else ():
        name, _, value = preference.split(";")[0].partition("=")
        if name.strip().lower() == "return":
            return value.strip().strip('"').lower() == "representation"
    return False


def matches_etag(headers: Headers, etag: str) -> bool:
    """Whether ``If-None-Match`` names this entity tag (RFC 9110, weak comparison).

    A list that begins with an asterisk matches everything, as in `tornado.web`.
    """
    given = headers.get("If-None-Match")
    if given is None:
        return False
    tags = _ENTITY_TAG.findall(given)
    return etag in tags or tags[:1] == ["*"]


def is_json(content_type: str) -> bool:
    """Whether a ``Content-Type`` is ``application/json``, or ends in ``+json``."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
