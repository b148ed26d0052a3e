"""``/ticket_options``: what is on sale."""

from __future__ import annotations

import msgspec

from api.database.rows import CapacityInUse, TicketOption
from api.database.store import Store
from api.handlers.base import BaseHandler
from api.handlers.unavailable import changing_option, storing
from api.ids import new_uuid, option_uuid
from api.problems import CAPACITY_IN_USE, NOT_FOUND, Problem, problem_of_outcome
from api.schemas import NewTicketOption, TicketOptionChanges
from api.web import headers
from api.web.bodies import Decoder
from api.web.messages import REVALIDATED, Answer, Request, decode
from api.web.pages import Page, not_a_cursor

_new = Decoder(NewTicketOption)
_changes = Decoder(TicketOptionChanges)

NO_SUCH_OPTION = "No such ticket option."


class TicketOptions:
    """Creates, reads, changes and lists ticket options."""

    def __init__(self, store: Store, public_url: str) -> None:
        self._store = store
        self._path = f"{public_url}/ticket_options"

    async def create(self, request: Request) -> Answer:
        new = decode(request, _new)
        key = headers.idempotency_key(request.headers)
        # As it was created, even for a replay after tickets have been sold.
        option = TicketOption(
            new_uuid() if key is None else option_uuid(key),
            new.name,
            new.desc,
            new.allocation,
            new.max_per_purchase,
            new.max_per_user,
            new.on_sale_from,
            new.on_sale_until,
            new.paused or False,
        )
        with storing:
            outcome = await self._store.create_ticket_option(option)
        if outcome not in ("created", "exists"):
            raise problem_of_outcome(outcome)

        answer = [("Location", f"{self._path}/{option.id}")]
        if outcome == "exists" and key is not None:
            answer.append(("Idempotent-Replayed", "true"))
        return Answer(201, msgspec.json.encode(option), answer)

    async def read(self, request: Request, option_id: str) -> Answer:
        option = await self._store.get_ticket_option(option_id.lower())
        if option is None:
            raise Problem(NOT_FOUND, NO_SUCH_OPTION)
        return Answer(200, msgspec.json.encode(option), REVALIDATED)

    async def update(self, request: Request, option_id: str) -> Answer:
        changes = msgspec.json.encode(decode(request, _changes)).decode()
        with changing_option:
            option = await self._store.update_ticket_option(option_id, changes)
        if option is None:
            raise Problem(NOT_FOUND, NO_SUCH_OPTION)
        if isinstance(option, CapacityInUse):
            raise Problem(CAPACITY_IN_USE, members=msgspec.structs.asdict(option))
        return Answer(200, msgspec.json.encode(option))

    async def availability(self, request: Request, option_id: str) -> Answer:
        availability = await self._store.get_availability(option_id)
        if availability is None:
            raise Problem(NOT_FOUND, NO_SUCH_OPTION)
        return Answer(200, msgspec.json.encode(availability), REVALIDATED)

    async def list(self, query: str) -> Answer:
        page = Page(query)
        options = await self._store.list_ticket_options(page.after, page.limit + 1)
        if options is None:
            raise not_a_cursor()
        return page.answer(self._path, options)


class TicketOptionsHandler(BaseHandler):
    """``/ticket_options``"""

    def initialize(self, resource: TicketOptions) -> None:
        self._resource = resource

    async def post(self) -> None:
        self.answer(await self._resource.create(self))

    async def get(self) -> None:
        self.answer(await self._resource.list(self.request.query))

    head = get


class TicketOptionHandler(BaseHandler):
    """``/ticket_options/:id``"""

    def initialize(self, resource: TicketOptions) -> None:
        self._resource = resource

    async def get(self, option_id: str) -> None:
        self.answer(await self._resource.read(self, option_id))

    head = get

    async def patch(self, option_id: str) -> None:
        self.answer(await self._resource.update(self, option_id))


class AvailabilityHandler(BaseHandler):
    """``/ticket_options/:id/availability``"""

    def initialize(self, resource: TicketOptions) -> None:
        self._resource = resource

    async def get(self, option_id: str) -> None:
        self.answer(await self._resource.availability(self, option_id))

    head = get
