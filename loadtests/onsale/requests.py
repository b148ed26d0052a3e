"""What buyers and organisers send, independent of what carries it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from loadtests.proof.ledger import Kind

NO_QUANTITIES: list[object] = [0, -1, "2", True, 2.5, 2**31, None, [], 10**400]

JSON = {"Content-Type": "application/json"}


class Request(NamedTuple):
    """A request.

    Attributes:
        name: what a report calls requests of this kind.
        expected: the statuses that the contract allows, apart from 503.
        quantity: as in the ledger.
        id: of the purchase or hold that it is about, if that is known by now.
        expires_in_seconds: of a hold.
        pause_seconds: how long the buyer waits before sending it.
    """

    name: str
    kind: Kind
    method: str
    path: str
    option_id: str
    expected: frozenset[int]
    user_id: str | None = None
    quantity: int | None = None
    id: str | None = None
    expires_in_seconds: int | None = None
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    pause_seconds: float = 0.0


def read(option_id: str) -> Request:
    path = f"/ticket_options/{option_id}"
    return Request("look", "read", "GET", path, option_id, frozenset({200}))


def purchase(option_id: str, user_id: str, quantity: int, key: str | None = None) -> Request:
    return Request(
        "purchase",
        "purchase",
        "POST",
        f"/ticket_options/{option_id}/purchases",
        option_id,
        frozenset({201, 409}),
        user_id,
        quantity,
        headers=_headers(key),
        body=json.dumps({"quantity": quantity, "user_id": user_id}).encode(),
    )


def hold(
    option_id: str,
    user_id: str,
    quantity: int,
    expires_in_seconds: int,
    key: str | None = None,
) -> Request:
    members = {
        "quantity": quantity,
        "user_id": user_id,
        "expires_in_seconds": expires_in_seconds,
    }
    return Request(
        "hold",
        "hold",
        "POST",
        f"/ticket_options/{option_id}/holds",
        option_id,
        frozenset({201, 409}),
        user_id,
        quantity,
        expires_in_seconds=expires_in_seconds,
        headers=_headers(key),
        body=json.dumps(members).encode(),
    )


def purchase_of_hold(held: Request, hold_id: str) -> Request:
    """Purchase what a request held."""
    return held._replace(
        name="purchase a hold",
        kind="hold purchase",
        path=f"{held.path}/{hold_id}/purchase",
        id=hold_id,
        expires_in_seconds=None,
        headers={},
        body=None,
    )


def release(held: Request, hold_id: str) -> Request:
    """Let go of what a request held."""
    return held._replace(
        name="release",
        kind="release",
        method="DELETE",
        path=f"{held.path}/{hold_id}",
        expected=frozenset({204}),
        id=hold_id,
        expires_in_seconds=None,
        headers={},
        body=None,
    )


def give_back(option_id: str, user_id: str, purchase_id: str, remaining: int) -> Request:
    """Give back all but so many tickets of a purchase."""
    cancel = Request(
        "cancel",
        "return",
        "DELETE",
        f"/ticket_options/{option_id}/purchases/{purchase_id}",
        option_id,
        frozenset({204}),
        user_id,
        remaining,
        purchase_id,
    )
    if not remaining:
        return cancel
    return cancel._replace(
        name="give back some",
        method="PATCH",
        expected=frozenset({200}),
        headers=JSON,
        body=json.dumps({"quantity": remaining}).encode(),
    )


def change_of_capacity(option_id: str, capacity: int) -> Request:
    return Request(
        "change the capacity",
        "capacity",
        "PATCH",
        f"/ticket_options/{option_id}",
        option_id,
        frozenset({200, 409}),
        quantity=capacity,
        headers=JSON,
        body=json.dumps({"capacity": capacity}).encode(),
    )


def nonsense(option_id: str, user_id: str, random: Random) -> Request:
    """A purchase or a hold that must be refused, however many tickets are left."""
    sensible = random.choice([purchase(option_id, user_id, 1), hold(option_id, user_id, 1, 600)])
    sensible = sensible._replace(
        kind="nonsense",
        name="nonsense",
        quantity=None,
        expires_in_seconds=None,
        expected=frozenset({422}),
    )
    body = sensible.body
    assert body is not None
    if random.random() < 0.5:
        members = {**json.loads(body), "quantity": random.choice(NO_QUANTITIES)}
        return sensible._replace(body=json.dumps(members).encode())
    nowhere = str(uuid.UUID(int=random.getrandbits(128), version=4))
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
            sensible._replace(
                path=sensible.path.replace(option_id, nowhere), expected=frozenset({404})
            ),
            sensible._replace(method="PUT", expected=frozenset({405})),
        ]
    )


def _headers(key: str | None) -> Mapping[str, str]:
    return JSON if key is None else {**JSON, "Idempotency-Key": f'"{key}"'}
