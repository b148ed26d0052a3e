"""Requests as resources see them, and the answers that resources give.

What a resource does is written once, as a coroutine that takes a `Request` and returns an `Answer`
or raises. `tornado.web` calls it through a handler, the fast lane calls it directly; neither shows
through here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from api import problems
from api.problems import Problem
from api.web.bodies import Decoder, T
from api.web.headers import Headers, is_json

REVALIDATED = (("Cache-Control", "no-cache"),)
"""Headers of a 200 that may be kept, and must be asked for again. Its ``ETag`` is made where the
answer is sent, and so is the 304."""


class Request(Protocol):
    """A request whose body has arrived.

    Attributes:
        id: ties the request to its lines in the log.
    """

    @property
    def headers(self) -> Headers: ...

    @property
    def body(self) -> bytes: ...

    @property
    def id(self) -> str: ...


class Answer(NamedTuple):
    """A status, a body and headers.

    The headers reach the wire as they are: none may hold client input that nobody has checked.
    """

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()
    content_type: str = "application/json"


def decode(request: Request, decoder: Decoder[T]) -> T:
    """Decode the JSON body of a request.

    Raises:
        Problem: ``unsupported_media_type``, ``malformed_json`` or ``invalid``.
    """
    content_type = request.headers.get("Content-Type")
    if content_type is None:
        if request.body:
            raise Problem(problems.UNSUPPORTED_MEDIA_TYPE)
    elif not is_json(content_type):
        raise Problem(problems.UNSUPPORTED_MEDIA_TYPE)
    if (request.headers.get("Content-Encoding") or "identity").lower() != "identity":
        raise Problem(problems.UNSUPPORTED_MEDIA_TYPE, "The body must not be compressed.")
    return decoder.decode(request.body)


def problem_answer(problem: Problem) -> Answer:
    """The problem as it is sent."""
    return Answer(problem.kind.status, problem.body(), problem.headers, "application/problem+json")
