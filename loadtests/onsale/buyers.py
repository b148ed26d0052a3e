"""How buyers behave in an on-sale, independent of what carries their requests.

A visit is a generator: it yields requests and is sent their answers. `play` drives it.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from random import Random
from typing import Literal, NamedTuple

from loadtests.proof.ledger import NO_ANSWER, Entry, Ledger, now

QUANTITY_MAX = 8

RETRIES_MAX = 50
"""How often a buyer with an Idempotency-Key retries a purchase whose outcome is unknown."""

NO_QUANTITIES: list[object] = [0, -1, "2", True, 2.5, 2**31, None, [], 10**400]

JSON = {"Content-Type": "application/json"}


class Request(NamedTuple):
    """What a buyer sends.

    Attributes:
        name: what a report calls requests of this kind.
        expected: the statuses that the contract allows, apart from 503.
        pause_seconds: how long the buyer waits before sending it.
    """

    name: str
    kind: Literal["read", "purchase", "nonsense"]
    method: str
    path: str
    option_id: str
    expected: frozenset[int]
    user_id: str | None = None
    quantity: int | None = None
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    pause_seconds: float = 0.0


class Answer(NamedTuple):
    """The answer; the status is `NO_ANSWER` if there was none."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


Visit = Generator[Request, Answer, None]


def visit(option_id: str, random: Random) -> Visit:
    """A buyer looks at an option, purchases tickets, and leaves.

    Most look first, some look again afterwards, and some send nonsense. Two in three have an
    Idempotency-Key: these retry until they know the outcome, and some retry once more after that.
    """
    user_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
    if random.random() < 0.05:
        yield _nonsense(option_id, user_id, random)
        return
    if random.random() < 0.6:
        yield _read(option_id)
    quantity = random.randint(1, QUANTITY_MAX)
    if random.random() < 1 / 3:
        yield _purchase(option_id, user_id, quantity)
        return

    purchase = _purchase(option_id, user_id, quantity, key=user_id)
    answer = yield purchase
    for _ in range(RETRIES_MAX):
        if answer.status != NO_ANSWER and answer.status < 500:
            break
        answer = yield purchase._replace(pause_seconds=random.uniform(0.1, 0.3))
    if answer.status == 201 and random.random() < 0.1:
        yield purchase._replace(expected=frozenset({201}))
    if answer.status == 201 and random.random() < 0.02:
        other = _purchase(option_id, user_id, quantity % QUANTITY_MAX + 1, key=user_id)
        yield other._replace(kind="nonsense", name="key reused", expected=frozenset({422}))
    if random.random() < 0.2:
        yield _read(option_id)


def play(visit: Visit, send: Callable[[Request], Answer], ledger: Ledger) -> None:
    """Play a visit to its end, and record every request and its answer.

    A request that raises, or that is interrupted because the run is over, is recorded as unknown.
    """
    try:
        request = next(visit)
        while True:
            if request.pause_seconds:
                time.sleep(request.pause_seconds)
            sent_at = now()
            answer = Answer(NO_ANSWER)
            try:
                answer = send(request)
            finally:
                ledger.entries.append(_entry(request, answer, sent_at, ledger))
            request = visit.send(answer)
    except StopIteration:
        return


def _read(option_id: str) -> Request:
    path = f"/ticket_options/{option_id}"
    return Request("look", "read", "GET", path, option_id, frozenset({200}))


def _purchase(option_id: str, user_id: str, quantity: int, key: str | None = None) -> Request:
    return Request(
        "purchase",
        "purchase",
        "POST",
        f"/ticket_options/{option_id}/purchases",
        option_id,
        frozenset({201, 409}),
        user_id,
        quantity,
        JSON if key is None else {**JSON, "Idempotency-Key": f'"{key}"'},
        json.dumps({"quantity": quantity, "user_id": user_id}).encode(),
    )


def _nonsense(option_id: str, user_id: str, random: Random) -> Request:
    """A purchase that must be refused, however many tickets are left."""
    sensible = _purchase(option_id, user_id, 1)._replace(
        kind="nonsense", name="nonsense", quantity=None, expected=frozenset({422})
    )
    if random.random() < 0.5:
        members = {"quantity": random.choice(NO_QUANTITIES), "user_id": user_id}
        return sensible._replace(body=json.dumps(members).encode())
    body = sensible.body
    assert body is not None
    nowhere = f"/ticket_options/{uuid.UUID(int=random.getrandbits(128), version=4)}/purchases"
    return random.choice(
        [
            sensible._replace(body=b"{}"),
            sensible._replace(body=body[:-1], expected=frozenset({400})),
            sensible._replace(body=b"\xff" + body, expected=frozenset({400})),
            sensible._replace(body=body + b" " * 70_000, expected=frozenset({413})),
            sensible._replace(headers={"Content-Type": "text/plain"}, expected=frozenset({415})),
            sensible._replace(
                headers={**JSON, "Idempotency-Key": "k" * 256}, expected=frozenset({400})
            ),
            sensible._replace(path=nowhere, expected=frozenset({404})),
            sensible._replace(method="PUT", expected=frozenset({405})),
        ]
    )


def _entry(request: Request, answer: Answer, sent_at: float, ledger: Ledger) -> Entry:
    status, answered_at = answer.status, now()
    code = purchase_id = left = None
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
            path, _, name = answer.headers["Location"].rpartition("/")
            purchase_id = str(uuid.UUID(name))
            is_expected = is_expected and path == request.path
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
        purchase_id,
        left,
        ledger.source,
        is_expected,
    )
