"""``/ticket_options/:id/purchases``: who took how many."""

from __future__ import annotations

import logging

import msgspec

from api.database.errors import UnavailableError
from api.database.store import Store
from api.handlers.base import BaseHandler
from api.ids import new_uuid, purchase_uuid
from api.problems import KIND_OF_OUTCOME, MAY_BE_STORED, NOT_FOUND, UNAVAILABLE, Problem
from api.schemas import NewPurchase
from api.web import headers
from api.web.bodies import Decoder
from api.web.messages import REVALIDATED, Answer, Request, decode

logger = logging.getLogger(__name__)

_decoder = Decoder(NewPurchase)


class Purchases:
    """Purchase tickets, read a purchase."""

    def __init__(self, store: Store, public_url: str) -> None:
        self._store = store
        self._public_url = public_url

    async def create(self, request: Request, option_id: str) -> Answer:
        new = decode(request, _decoder)
        key = headers.idempotency_key(request.headers)
        option_id = option_id.lower()
        purchase_id = new_uuid() if key is None else purchase_uuid(option_id, new.user_id, key)
        try:
            outcome = await self._store.purchase_tickets(
                option_id, purchase_id, new.user_id, new.quantity
            )
        except UnavailableError as error:
            raise Problem(UNAVAILABLE, MAY_BE_STORED) from error
        if outcome not in ("created", "exists"):
            raise Problem(KIND_OF_OUTCOME[outcome])  # one that nobody knows is no sale: a KeyError

        answer = [
            ("Location", f"{self._public_url}/ticket_options/{option_id}/purchases/{purchase_id}")
        ]
        if outcome == "exists" and key is not None:
            answer.append(("Idempotent-Replayed", "true"))
        if not headers.prefers_representation(request.headers):
            return Answer(201, headers=answer)
        try:
            purchase = await self._store.get_purchase(option_id, purchase_id)
        except Exception as error:  # any: the tickets are sold, and a preference may go unmet
            logger.warning("request %s: could not read back: %s", request.id, error)
            return Answer(201, headers=answer)
        answer.append(("Preference-Applied", "return=representation"))
        return Answer(201, msgspec.json.encode(purchase), answer)

    async def read(self, request: Request, option_id: str, purchase_id: str) -> Answer:
        purchase = await self._store.get_purchase(option_id, purchase_id)
        if purchase is None:
            raise Problem(NOT_FOUND, "There is no such purchase.")
        return Answer(200, msgspec.json.encode(purchase), REVALIDATED)


class PurchasesHandler(BaseHandler):
    """``/ticket_options/:id/purchases``"""

    def initialize(self, resource: Purchases) -> None:
        self._resource = resource

    async def post(self, option_id: str) -> None:
        self.answer(await self._resource.create(self, option_id))


class PurchaseHandler(BaseHandler):
    """``/ticket_options/:id/purchases/:id``"""

    def initialize(self, resource: Purchases) -> None:
        self._resource = resource

    async def get(self, option_id: str, purchase_id: str) -> None:
        self.answer(await self._resource.read(self, option_id, purchase_id))

    head = get
