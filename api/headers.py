"""The request headers that the service gives a meaning to."""

from __future__ import annotations

import os
import re
from urllib.request import parse_http_list

from tornado.httputil import HTTPHeaders

from api.problems import MALFORMED_HEADER, Problem

_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
_QUOTED_KEY = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE_KEY = re.compile(r"[\x21\x23-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_ENTITY_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')

KEY_LENGTH_MAX = 255


def request_id(headers: HTTPHeaders) -> str:
    """The request's ``X-Request-ID`` if it is one that may stand in a log, else a new one."""
    given = headers.get("X-Request-ID")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return os.urandom(16).hex()


def idempotency_key(headers: HTTPHeaders) -> str | None:
    """The ``Idempotency-Key``, without quotes: 1 to 255 printable ASCII characters.

    Raises:
        Problem: ``malformed_header``.
    """
    if "Idempotency-Key" not in headers:
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


def prefers_representation(headers: HTTPHeaders) -> bool:
    """Whether ``Prefer`` (RFC 7240) asks for the stored thing in the answer.

    Of a preference that is given twice the first counts; other preferences are ignored.
    """
    # The list is split by the library because commas may stand in quoted strings.
    given = headers.get("Prefer")
    for preference in parse_http_list(given) if given else ():
        name, _, value = preference.split(";")[0].partition("=")
        if name.strip().lower() == "return":
            return value.strip().strip('"').lower() == "representation"
    return False


def matches_etag(headers: HTTPHeaders, etag: str) -> bool:
    """Whether ``If-None-Match`` names this entity tag (RFC 9110, weak comparison)."""
    given = headers.get("If-None-Match")
    if given is None:
        return False
    return given.strip() == "*" or etag in _ENTITY_TAG.findall(given)


def is_json(content_type: str) -> bool:
    """Whether a ``Content-Type`` is ``application/json``, or ends in ``+json``."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
