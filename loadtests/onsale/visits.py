"""Plays visits, and records every request and its answer.

A visit is a generator: it yields requests and is sent their answers.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from random import Random
from typing import NamedTuple

from loadtests.onsale.requests import Request
from loadtests.proof.ledger import NO_ANSWER, Entry, Ledger, now

RETRIES_MAX = 50
"""How often a request that may be sent again is, while its outcome is unknown."""

RETRY_PAUSE_SECONDS = (0.1, 0.3)
"""How long to wait before it is, from and to."""


class Answer(NamedTuple):
    """The answer; the status is `NO_ANSWER` if there was none."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def id(self) -> str | None:
        """The id of the purchase or hold that was created, if it names one."""
        try:
            return str(uuid.UUID(self.headers["Location"].rpartition("/")[2]))
        except (KeyError, ValueError):
            return None


Visit = Generator[Request, Answer, None]


def settled(request: Request, random: Random) -> Generator[Request, Answer, Answer]:
    """Send a request that may be sent again, until its outcome is known."""
    answer = yield request
    for _ in range(RETRIES_MAX):
        if answer.status != NO_ANSWER and answer.status < 500:
            break
        answer = yield request._replace(pause_seconds=random.uniform(*RETRY_PAUSE_SECONDS))
    return answer


def play(
    visit: Visit,
    send: Callable[[Request], Answer],
    ledger: Ledger,
    pause: Callable[[float], object] | None = None,
) -> None:
    """Play a visit to its end, and record every request and its answer.

    A request that raises, or that is interrupted because the run is over, is recorded as unknown.

    Args:
        pause: waits for so many seconds; by default for exactly so many.
    """
    try:
        request = next(visit)
        while True:
            if request.pause_seconds:
                (pause or time.sleep)(request.pause_seconds)
            sent_at = now()
            answer = Answer(NO_ANSWER)
            try:
                answer = send(request)
            finally:
                ledger.entries.append(_entry(request, answer, sent_at, ledger))
            request = visit.send(answer)
    except StopIteration:
        return


def _entry(request: Request, answer: Answer, sent_at: float, ledger: Ledger) -> Entry:
    status, answered_at = answer.status, now()
    taken_id, code, left = request.id, None, None
    is_expected = status in request.expected or status in (NO_ANSWER, 503)
    if status == 404 and request.option_id in ledger.deleted:
        is_expected = True
    try:
        if status == NO_ANSWER:
            pass
        elif status >= 400:
            code = json.loads(answer.body)["code"]
        elif request.kind == "read":
            left = json.loads(answer.body)["allocation"]
        elif status == 201:
            taken_id = answer.id
            where = _location(request, taken_id)
            is_expected = is_expected and answer.headers["Location"] == where
            if request.kind == "hold":
                is_expected = is_expected and _is_hold(request, json.loads(answer.body), taken_id)
        elif request.kind == "return" and status == 200:
            is_expected = is_expected and json.loads(answer.body)["quantity"] == request.quantity
    except (ValueError, KeyError, TypeError, AttributeError):
        is_expected = False
    return Entry(
        request.kind,
        request.option_id,
        request.user_id,
        request.quantity,
        sent_at,
        answered_at,
        status,
        code,
        taken_id,
        left,
        ledger.source,
        is_expected,
        request.expires_in_seconds,
    )


def _location(request: Request, taken_id: str | None) -> str:
    """Where what a request created must be."""
    if request.kind == "hold purchase":
        return f"/ticket_options/{request.option_id}/purchases/{request.id}"
    return f"{request.path}/{taken_id}"


def _is_hold(request: Request, body: dict[str, object], hold_id: str | None) -> bool:
    """Whether this is the hold that was requested."""
    requested = (hold_id, request.option_id, request.user_id, request.quantity)
    members = ("id", "ticket_option_id", "user_id", "quantity")
    return tuple(body[name] for name in members) == requested
