"""``/ticket_options/:id/holds``: tickets that are kept for a user for a while."""

from __future__ import annotations

import msgspec

from api.database.rows import Hold
from api.database.store import Store
from api.handlers.base import BaseHandler
from api.handlers.ticket_options import NO_SUCH_OPTION
from api.handlers.unavailable import changing, storing
from api.ids import hold_uuid, new_uuid
from api.problems import NOT_FOUND, Problem, problem_of_outcome
from api.schemas import NewHold, Nothing
from api.web import headers
from api.web.bodies import Decoder
from api.web.messages import REVALIDATED, Answer, Request, decode
from api.web.pages import Page, not_a_cursor

_new = Decoder(NewHold)
_nothing = Decoder(Nothing)

NO_SUCH_HOLD = "No such hold."


class Holds:
    """Holds tickets, purchases and releases holds, reads and lists them."""

    def __init__(self, store: Store, public_url: str) -> None:
        self._store = store
        self._public_url = public_url

    async def create(self, request: Request, option_id: str) -> Answer:
        new = decode(request, _new)
        key = headers.idempotency_key(request.headers)
        option_id = option_id.lower()
        hold_id = new_uuid() if key is None else hold_uuid(option_id, new.user_id, key)
        with storing:
            outcome, detail = await self._store.hold_tickets(
                option_id, hold_id, new.user_id, new.quantity, new.expires_in_seconds
            )
        if outcome not in ("created", "exists"):
            raise problem_of_outcome(outcome, detail)

        assert detail is not None
        hold = Hold(hold_id, option_id, new.user_id.lower(), new.quantity, **detail)
        answer = [("Location", f"{self._path(option_id)}/{hold_id}")]
        if outcome == "exists" and key is not None:
            answer.append(("Idempotent-Replayed", "true"))
        return Answer(201, msgspec.json.encode(hold), answer)

    async def read(self, request: Request, option_id: str, hold_id: str) -> Answer:
        hold = await self._store.get_hold(option_id, hold_id)
        if hold is None:
            raise Problem(NOT_FOUND, NO_SUCH_HOLD)
        return Answer(200, msgspec.json.encode(hold), REVALIDATED)

    async def purchase(self, request: Request, option_id: str, hold_id: str) -> Answer:
        if request.body:
            decode(request, _nothing)
        option_id, hold_id = option_id.lower(), hold_id.lower()
        with changing:
            outcome, detail = await self._store.purchase_hold(option_id, hold_id)
        if outcome == "not_found":
            raise Problem(NOT_FOUND, NO_SUCH_HOLD)
        if outcome not in ("created", "exists"):
            raise problem_of_outcome(outcome, detail)

        path = f"{self._public_url}/ticket_options/{option_id}/purchases/{hold_id}"
        answer = [("Location", path)]
        if outcome == "exists":
            answer.append(("Idempotent-Replayed", "true"))
        return Answer(201, headers=answer)

    async def release(self, request: Request, option_id: str, hold_id: str) -> Answer:
        with changing:
            outcome = await self._store.release_hold(option_id, hold_id)
        if outcome == "not_found":
            raise Problem(NOT_FOUND, NO_SUCH_HOLD)
        if outcome not in ("released", "expired", "exists"):
            raise problem_of_outcome(outcome)
        return Answer(204)

    async def list(self, query: str, option_id: str) -> Answer:
        page = Page(query, "user_id", "state")
        option_id = option_id.lower()
        holds = await self._store.list_holds(
            option_id, page.get("user_id"), page.get("state"), page.after, page.limit + 1
        )
        if not holds and not await self._store.get_ticket_option(option_id):
            raise Problem(NOT_FOUND, NO_SUCH_OPTION)
        if holds is None:
            raise not_a_cursor()
        return page.answer(self._path(option_id), holds)

    def _path(self, option_id: str) -> str:
        return f"{self._public_url}/ticket_options/{option_id}/holds"


class HoldsHandler(BaseHandler):
    """``/ticket_options/:id/holds``"""

    def initialize(self, resource: Holds) -> None:
        self._resource = resource

    async def post(self, option_id: str) -> None:
        self.answer(await self._resource.create(self, option_id))

    async def get(self, option_id: str) -> None:
        self.answer(await self._resource.list(self.request.query, option_id))

    head = get


class HoldHandler(BaseHandler):
    """``/ticket_options/:id/holds/:id``"""

    def initialize(self, resource: Holds) -> None:
        self._resource = resource

    async def get(self, option_id: str, hold_id: str) -> None:
        self.answer(await self._resource.read(self, option_id, hold_id))

    head = get

    async def delete(self, option_id: str, hold_id: str) -> None:
        self.answer(await self._resource.release(self, option_id, hold_id))


class HoldPurchaseHandler(BaseHandler):
    """``/ticket_options/:id/holds/:id/purchase``"""

    def initialize(self, resource: Holds) -> None:
        self._resource = resource

    async def post(self, option_id: str, hold_id: str) -> None:
        self.answer(await self._resource.purchase(self, option_id, hold_id))
