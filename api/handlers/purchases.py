"""``/ticket_options/:id/purchases``: who purchased how many tickets."""

from __future__ import annotations

import logging

import msgspec

from api.database.rows import Purchase
from api.database.store import Store
from api.handlers.base import BaseHandler
from api.handlers.ticket_options import NO_SUCH_OPTION
from api.handlers.unavailable import changing, storing
from api.ids import new_uuid, purchase_uuid
from api.problems import INVALID, NOT_FOUND, MemberError, Problem, problem_of_outcome
from api.schemas import NewPurchase, PurchaseChanges
from api.web import headers
from api.web.bodies import Decoder
from api.web.messages import REVALIDATED, Answer, Request, decode
from api.web.pages import Page, not_a_cursor

logger = logging.getLogger(__name__)

_new = Decoder(NewPurchase)
_changes = Decoder(PurchaseChanges)

NO_SUCH_PURCHASE = "No such purchase."


class Purchases:
    """Purchases tickets, reads and lists purchases, gives tickets back."""

    def __init__(self, store: Store, public_url: str) -> None:
        self._store = store
        self._public_url = public_url

    async def create(self, request: Request, option_id: str) -> Answer:
        new = decode(request, _new)
        key = headers.idempotency_key(request.headers)
        option_id = option_id.lower()
        purchase_id = new_uuid() if key is None else purchase_uuid(option_id, new.user_id, key)
        with storing:
            outcome, detail = await self._store.purchase_tickets(
                option_id, purchase_id, new.user_id, new.quantity
            )
        if outcome not in ("created", "exists"):
            raise problem_of_outcome(outcome, detail)  # an unknown outcome is no sale: a KeyError

        answer = [("Location", f"{self._path(option_id)}/{purchase_id}")]
        if outcome == "exists" and key is not None:
            answer.append(("Idempotent-Replayed", "true"))
        if not headers.prefers_representation(request.headers):
            return Answer(201, headers=answer)
        try:
            purchase = await self._store.get_purchase(option_id, purchase_id)
        except Exception as error:  # whatever it is: the tickets are sold
            logger.warning("request %s: could not read back: %s", request.id, error)
            purchase = None
        if purchase is None:
            return Answer(201, headers=answer)
        answer.append(("Preference-Applied", "return=representation"))
        return Answer(201, msgspec.json.encode(purchase), answer)

    async def read(self, request: Request, option_id: str, purchase_id: str) -> Answer:
        purchase = await self._store.get_purchase(option_id, purchase_id)
        if purchase is None:
            raise Problem(NOT_FOUND, NO_SUCH_PURCHASE)
        return Answer(200, msgspec.json.encode(purchase), REVALIDATED)

    async def keep(self, request: Request, option_id: str, purchase_id: str) -> Answer:
        changes = decode(request, _changes)
        purchase = await self._return(option_id, purchase_id, changes.quantity)
        return Answer(200, msgspec.json.encode(purchase))

    async def cancel(self, request: Request, option_id: str, purchase_id: str) -> Answer:
        await self._return(option_id, purchase_id, 0)
        return Answer(204)

    async def _return(self, option_id: str, purchase_id: str, remaining: int) -> Purchase:
        with changing:
            outcome, purchase = await self._store.return_tickets(
                option_id.lower(), purchase_id.lower(), remaining
            )
        if purchase is None:
            raise Problem(NOT_FOUND, NO_SUCH_PURCHASE)
        if outcome == "too_many":
            has = f"must be at most {purchase.quantity}, which is what the purchase has"
            raise Problem(INVALID, errors=[MemberError("/quantity", has)])
        return purchase

    async def list(self, query: str, option_id: str) -> Answer:
        page = Page(query, "user_id")
        option_id = option_id.lower()
        purchases = await self._store.list_purchases(
            option_id, page.get("user_id"), page.after, page.limit + 1
        )
        if not purchases and not await self._store.get_ticket_option(option_id):
            raise Problem(NOT_FOUND, NO_SUCH_OPTION)
        if purchases is None:
            raise not_a_cursor()
        return page.answer(self._path(option_id), purchases)

    def _path(self, option_id: str) -> str:
        return f"{self._public_url}/ticket_options/{option_id}/purchases"


class PurchasesHandler(BaseHandler):
    """``/ticket_options/:id/purchases``"""

    def initialize(self, resource: Purchases) -> None:
        self._resource = resource

    async def post(self, option_id: str) -> None:
        self.answer(await self._resource.create(self, option_id))

    async def get(self, option_id: str) -> None:
        self.answer(await self._resource.list(self.request.query, option_id))

    head = get


class PurchaseHandler(BaseHandler):
    """``/ticket_options/:id/purchases/:id``"""

    def initialize(self, resource: Purchases) -> None:
        self._resource = resource

    async def get(self, option_id: str, purchase_id: str) -> None:
        self.answer(await self._resource.read(self, option_id, purchase_id))

    head = get

    async def patch(self, option_id: str, purchase_id: str) -> None:
        self.answer(await self._resource.keep(self, option_id, purchase_id))

    async def delete(self, option_id: str, purchase_id: str) -> None:
        self.answer(await self._resource.cancel(self, option_id, purchase_id))
