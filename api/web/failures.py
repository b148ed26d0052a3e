"""The problem that a request ends with when an exception ends it."""

from __future__ import annotations

import logging

from api.database.errors import DatabaseError, RefusedError
from api.problems import INTERNAL, Problem, problem_of

logger = logging.getLogger(__name__)


def problem_of_failure(error: BaseException, request_id: str) -> Problem:
    """Turn an exception into a problem, and log what an operator should know about it."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, DatabaseError):
        problem = problem_of(error)
        if problem is not None:
            if isinstance(error, RefusedError):
                logger.warning("request %s: %s", request_id, error)
            return problem
    logger.error("request %s failed", request_id, exc_info=error)
    return Problem(INTERNAL)
