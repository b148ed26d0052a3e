"""What all handlers share: answers, errors, request ids."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import Any

from tornado.web import HTTPError, RequestHandler

from api import problems
from api.problems import Problem
from api.web import limits
from api.web.failures import problem_of_failure
from api.web.headers import Headers, request_id
from api.web.messages import Answer, problem_answer

_METHODS = ("get", "head", "post", "delete", "patch", "put", "options")


class BaseHandler(RequestHandler):
    """Sends what a resource returns, or a problem for what it raises."""

    @cached_property
    def id(self) -> str:
        """Ties the request to its log lines."""
        return request_id(self.request.headers)

    @property
    def headers(self) -> Headers:
        """The request's."""
        return self.request.headers

    @property
    def body(self) -> bytes:
        """The request's."""
        return self.request.body

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings["in_flight"] += 1

    def on_finish(self) -> None:
        self.settings["in_flight"] -= 1

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("X-Request-ID", self.id)
        if self.settings["is_draining"]:
            self.set_header("Connection", "close")

    def prepare(self) -> None:
        if len(self.request.body) > limits.BODY_BYTES_MAX:
            raise Problem(problems.BODY_TOO_LARGE)

    def answer(self, answer: Answer) -> None:
        """Send what a resource returned."""
        self.set_status(answer.status)
        if answer.body:
            self.set_header("Content-Type", answer.content_type)
        else:
            self.clear_header("Content-Type")
        for name, value in answer.headers:
            self.add_header(name, value)
        self.finish(answer.body or None)  # a 204 may not even have an empty one

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an exception. Tornado always passes one."""
        error = kwargs["exc_info"][1]
        if isinstance(error, HTTPError):
            error = self._problem_of(error)
        self.answer(problem_answer(problem_of_failure(error, self.id)))

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log nothing: `problem_of_failure` does."""

    def _problem_of(self, error: HTTPError) -> BaseException:
        """The problem for a request that Tornado itself refuses, before `prepare`."""
        if len(self.request.body) > limits.BODY_BYTES_MAX:
            return Problem(problems.BODY_TOO_LARGE)
        if error.status_code == 405:
            allowed = ", ".join(self.allowed_methods())
            if not allowed:
                return Problem(problems.NOT_FOUND)
            return Problem(problems.METHOD_NOT_ALLOWED, headers=[("Allow", allowed)])
        if error.status_code == 400:
            # Tornado parses forms, which no resource here accepts.
            return Problem(problems.UNSUPPORTED_MEDIA_TYPE)
        return error

    @classmethod
    def allowed_methods(cls) -> list[str]:
        """The methods that the handler supports, in alphabetical order."""
        return sorted(
            name.upper()
            for name in _METHODS
            if getattr(cls, name) is not getattr(RequestHandler, name)
        )


class NotFoundHandler(BaseHandler):
    """Answers on every path without a resource."""

    def prepare(self) -> None:
        super().prepare()
        raise Problem(problems.NOT_FOUND)
