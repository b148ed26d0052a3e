"""The route table."""

from __future__ import annotations

from api.handlers.operations import Operations
from api.handlers.purchases import Purchases
from api.handlers.ticket_options import TicketOptions
from api.readiness import Readiness
from api.store import Store
from api.web import Application

_UUID = r"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"


def make_app(store: Store, readiness: Readiness) -> Application:
    """The service: every path that it has, and who answers there.

    An id that is no UUID names nothing, so its path matches no route. HEAD goes where GET does.
    """
    options = TicketOptions(store)
    purchases = Purchases(store)
    operations = Operations(readiness)
    return Application(
        [
            ("/ticket_options", {"POST": options.create}),
            (f"/ticket_options/{_UUID}", {"GET": options.read}),
            (f"/ticket_options/{_UUID}/purchases", {"POST": purchases.create}),
            (f"/ticket_options/{_UUID}/purchases/{_UUID}", {"GET": purchases.read}),
            ("/livez", {"GET": operations.livez}),
            ("/readyz", {"GET": operations.readyz}),
            ("/openapi.json", {"GET": operations.openapi}),
        ]
    )
