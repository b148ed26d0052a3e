"""Requests, responses, and the application that routes the ones to handlers and makes the others.

This stands where ``tornado.web`` would, because the work that ``RequestHandler`` does for each
request is more than selling a ticket costs. It knows HTTP and nothing of tickets; the wire is in
`api.exchange`. A handler is a coroutine that takes a `Request` and returns a `Response`, or raises
a `Problem`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b

import psycopg
from tornado.httputil import HTTPHeaders

from api import headers as request_headers
from api import problems
from api.problems import Problem
from api.schemas import Decoder, T

logger = logging.getLogger(__name__)


class Request:
    """A request.

    Attributes:
        path: without the query.
        id: what ties it to the log.
        body: empty until it has arrived.
    """

    __slots__ = ("body", "headers", "id", "method", "path")

    def __init__(self, method: str, path: str, headers: HTTPHeaders) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.id = request_headers.request_id(headers)
        self.body = b""

    def decode(self, decoder: Decoder[T]) -> T:
        """Decode the JSON body.

        Raises:
            Problem: ``unsupported_media_type``, ``malformed_json`` or ``invalid``.
        """
        content_type = self.headers.get("Content-Type")
        if content_type is None:
            if self.body:
                raise Problem(problems.UNSUPPORTED_MEDIA_TYPE)
        elif not request_headers.is_json(content_type):
            raise Problem(problems.UNSUPPORTED_MEDIA_TYPE)
        return decoder.decode(self.body)


class Response:
    """A status, headers and a body.

    The headers go to the wire as they are: none may hold what a client sent and nobody checked.

    Attributes:
        room: as in `Problem`.
    """

    __slots__ = ("body", "content_type", "headers", "room", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        content_type: str = "application/json",
        room: Callable[[], int] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.content_type = content_type
        self.room = room


Handler = Callable[..., Awaitable[Response]]
"""Called with the `Request` and the groups of its route's pattern."""

Route = tuple[str, dict[str, Handler]]
"""A pattern that matches a whole path, and a handler for each method."""


def cacheable(request: Request, body: bytes) -> Response:
    """The answer to a GET that may be kept but must be asked for again: 200, or 304 if it matches.

    The entity tag is strong: other bytes, another tag.
    """
    etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = (("ETag", etag), ("Cache-Control", "no-cache"))
    if request_headers.matches_etag(request.headers, etag):
        return Response(304, headers=headers)
    return Response(200, body, headers)


def problem_response(problem: Problem) -> Response:
    """The problem as it is answered."""
    return Response(
        problem.kind.status,
        problem.body(),
        problem.headers,
        "application/problem+json",
        problem.room,
    )


class Application:
    """Routes requests to handlers and answers them, errors included."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [
            (
                re.compile(pattern),
                {"HEAD": methods["GET"], **methods} if "GET" in methods else methods,
            )
            for pattern, methods in routes
        ]

    async def respond(self, request: Request) -> Response:
        """The answer to a request. It always has one."""
        try:
            handler, arguments = self._find(request)
            return await handler(request, *arguments)
        except Problem as problem:
            return problem_response(problem)
        except psycopg.Error as error:
            known = problems.problem_of(error)
            if known is None:
                return self._internal_error(request)
            logger.warning("request %s: %s", request.id, str(error).partition("\n")[0])
            return problem_response(known)
        except Exception:
            return self._internal_error(request)

    def _internal_error(self, request: Request) -> Response:
        logger.exception("request %s failed", request.id)
        return problem_response(Problem(problems.INTERNAL))

    def _find(self, request: Request) -> tuple[Handler, Sequence[str]]:
        for pattern, methods in self._routes:
            if match := pattern.fullmatch(request.path):
                handler = methods.get(request.method)
                if handler is None:
                    allowed = ", ".join(sorted(methods))
                    raise Problem(problems.METHOD_NOT_ALLOWED, headers=[("Allow", allowed)])
                return handler, match.groups()
        raise Problem(problems.NOT_FOUND)
