"""``/ticket_options``: what is on sale."""

from __future__ import annotations

import msgspec

from api.database.errors import UnavailableError
from api.database.rows import TicketOption
from api.database.store import Store
from api.handlers.base import BaseHandler
from api.ids import new_uuid, option_uuid
from api.problems import KIND_OF_OUTCOME, MAY_BE_STORED, NOT_FOUND, UNAVAILABLE, Problem
from api.schemas import NewTicketOption
from api.web import headers
from api.web.bodies import Decoder
from api.web.messages import REVALIDATED, Answer, Request, decode

_decoder = Decoder(NewTicketOption)


class TicketOptions:
    """Create a ticket option, read one."""

    def __init__(self, store: Store, public_url: str) -> None:
        self._store = store
        self._public_url = public_url

    async def create(self, request: Request) -> Answer:
        new = decode(request, _decoder)
        key = headers.idempotency_key(request.headers)
        option_id = new_uuid() if key is None else option_uuid(key)
        try:
            outcome = await self._store.create_ticket_option(
                option_id, new.name, new.desc, new.allocation
            )
        except UnavailableError as error:
            raise Problem(UNAVAILABLE, MAY_BE_STORED) from error
        if outcome in KIND_OF_OUTCOME:
            raise Problem(KIND_OF_OUTCOME[outcome])

        answer = [("Location", f"{self._public_url}/ticket_options/{option_id}")]
        if outcome == "exists" and key is not None:
            answer.append(("Idempotent-Replayed", "true"))
        # As it was created, also when it is a replay and tickets have been sold since.
        option = TicketOption(option_id, new.name, new.desc, new.allocation)
        return Answer(201, msgspec.json.encode(option), answer)

    async def read(self, request: Request, option_id: str) -> Answer:
        option = await self._store.get_ticket_option(option_id.lower())
        if option is None:
            raise Problem(NOT_FOUND, "There is no such ticket option.")
        return Answer(200, msgspec.json.encode(option), REVALIDATED)


class TicketOptionsHandler(BaseHandler):
    """``/ticket_options``"""

    def initialize(self, resource: TicketOptions) -> None:
        self._resource = resource

    async def post(self) -> None:
        self.answer(await self._resource.create(self))


class TicketOptionHandler(BaseHandler):
    """``/ticket_options/:id``"""

    def initialize(self, resource: TicketOptions) -> None:
        self._resource = resource

    async def get(self, option_id: str) -> None:
        self.answer(await self._resource.read(self, option_id))

    head = get
