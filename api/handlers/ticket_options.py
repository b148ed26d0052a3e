"""``/ticket_options``: what is on sale."""

from __future__ import annotations

import msgspec

from api.ids import new_uuid
from api.problems import NOT_FOUND, Problem
from api.schemas import Decoder, NewTicketOption, TicketOption
from api.store import Store
from api.web import Request, Response, cacheable

_decoder = Decoder(NewTicketOption)


class TicketOptions:
    """Create a ticket option, read one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(self, request: Request) -> Response:
        new = request.decode(_decoder)
        option = TicketOption(new_uuid(), new.name, new.desc, new.allocation)
        try:
            await self._store.create_ticket_option(option.id, new.name, new.desc, new.allocation)
        except Problem as problem:
            raise problem.of_write() from problem.__cause__
        location = ("Location", f"/ticket_options/{option.id}")
        return Response(201, msgspec.json.encode(option), [location])

    async def read(self, request: Request, option_id: str) -> Response:
        option = await self._store.get_ticket_option(option_id.lower())
        if option is None:
            raise Problem(NOT_FOUND, "There is no such ticket option.")
        return cacheable(request, msgspec.json.encode(option))
