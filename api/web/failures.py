"""The answer to a request that ended in an exception."""

from __future__ import annotations

import logging

import psycopg

from api import problems
from api.problems import Problem
from api.web.messages import Answer, problem_answer

logger = logging.getLogger(__name__)


def answer_failure(error: BaseException, request_id: str) -> Answer:
    """Turn an exception into an answer, and log what an operator should know of it."""
    if isinstance(error, Problem):
        return problem_answer(error)
    if isinstance(error, psycopg.Error):
        known = problems.problem_of(error)
        if known is not None:
            logger.warning("request %s: %s", request_id, str(error).partition("\n")[0])
            return problem_answer(known)
    logger.error("request %s failed", request_id, exc_info=error)
    return problem_answer(Problem(problems.INTERNAL))
