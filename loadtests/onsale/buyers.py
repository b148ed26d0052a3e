"""How buyers behave in an on-sale."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from random import Random
from typing import NamedTuple

from loadtests.onsale import requests
from loadtests.onsale.requests import Request
from loadtests.onsale.visits import Answer, Visit, settled

QUANTITY_MAX = 8


class Habits(NamedTuple):
    """What buyers do beside purchasing; each a part of those who could, from 0 to 1.

    Attributes:
        hold: hold tickets first. Then they purchase the hold, in time or too late, release it, or
            let it run out.
        give_back: give back some or all of what they purchased.
        expires_in_seconds: how long a hold may run, from and to.
    """

    hold: float = 0.0
    give_back: float = 0.0
    expires_in_seconds: tuple[int, int] = (1, 1)


PURCHASE_ONLY = Habits()


class _Purchase(NamedTuple):
    """Tickets that a buyer has."""

    id: str
    quantity: int


_Purchasing = Generator[Request, Answer, "_Purchase | None"]


def visit(option_id: str, random: Random, habits: Habits = PURCHASE_ONLY) -> Visit:
    """A buyer looks at an option, purchases tickets, and leaves.

    Most look first, some look again afterwards, and some send nonsense. Two in three have an
    Idempotency-Key: these retry until they know the outcome, and some retry once more after that.
    """
    user_id = str(uuid.UUID(int=random.getrandbits(128), version=4))
    if random.random() < 0.05:
        yield requests.nonsense(option_id, user_id, random)
        return
    if random.random() < 0.6:
        yield requests.read(option_id)
    quantity = random.randint(1, QUANTITY_MAX)
    key = user_id if random.random() < 2 / 3 else None
    if random.random() < habits.hold:
        expires_in_seconds = random.randint(*habits.expires_in_seconds)
        held = requests.hold(option_id, user_id, quantity, expires_in_seconds, key)
        purchased = yield from _hold_first(held, random)
    else:
        purchased = yield from _purchase(option_id, user_id, quantity, key, random)
    if purchased is not None and random.random() < habits.give_back:
        yield from _give_back(option_id, user_id, purchased, random)
    if key is not None and random.random() < 0.2:
        yield requests.read(option_id)


def _take(request: Request, random: Random) -> Generator[Request, Answer, Answer]:
    """Send a request for tickets, again until the outcome is known if it has a key."""
    if "Idempotency-Key" not in request.headers:
        return (yield request)
    answer = yield from settled(request, random)
    if answer.status == 201 and random.random() < 0.1:
        yield request._replace(expected=frozenset({201}))
    return answer


def _purchase(
    option_id: str, user_id: str, quantity: int, key: str | None, random: Random
) -> _Purchasing:
    answer = yield from _take(requests.purchase(option_id, user_id, quantity, key), random)
    if answer.status != 201 or answer.id is None:
        return None
    if key is not None and random.random() < 0.02:
        other = requests.purchase(option_id, user_id, quantity % QUANTITY_MAX + 1, key)
        yield other._replace(kind="nonsense", name="key reused", expected=frozenset({422}))
    return _Purchase(answer.id, quantity)


def _hold_first(held: Request, random: Random) -> _Purchasing:
    """Hold tickets. Six in ten pay, two of ten release it, one pays too late, one lets it be."""
    answer = yield from _take(held, random)
    if answer.status != 201 or answer.id is None:
        return None
    hold_id, what = answer.id, random.random()
    assert held.quantity is not None
    assert held.expires_in_seconds is not None
    if what < 0.7:
        pays_after = random.uniform(0, 0.2) + (held.expires_in_seconds if what < 0.1 else 0)
        paid = requests.purchase_of_hold(held, hold_id)
        answer = yield from settled(paid._replace(pause_seconds=pays_after), random)
        if answer.status != 201:
            return None
        if random.random() < 0.1:
            yield paid._replace(expected=frozenset({201}))
        if random.random() < 0.1:
            late = requests.release(held, hold_id)
            yield late._replace(kind="nonsense", name="release too late", expected=frozenset({409}))
        return _Purchase(hold_id, held.quantity)
    if what < 0.9:
        yield from _twice(requests.release(held, hold_id), random)
    return None


def _give_back(option_id: str, user_id: str, purchased: _Purchase, random: Random) -> Visit:
    """Give back some or all, and sometimes the rest afterwards."""
    has = purchased.quantity
    while has and random.random() < 0.7:
        has = random.randrange(has)
        back = requests.give_back(option_id, user_id, purchased.id, has)
        answer = yield from _twice(back, random)
        if answer.status not in back.expected:
            return


def _twice(request: Request, random: Random) -> Generator[Request, Answer, Answer]:
    """Settle a request; one in four sends it once more, which changes nothing."""
    answer = yield from settled(request, random)
    if answer.status in request.expected and random.random() < 0.25:
        yield request
    return answer
