"""The route table, and the hot routes that the fast lane answers without it."""

from __future__ import annotations

import re
from typing import NamedTuple

from tornado.web import Application

from api import logs
from api.database.readiness import Readiness
from api.database.store import Store
from api.handlers.base import NotFoundHandler
from api.handlers.holds import HoldHandler, HoldPurchaseHandler, Holds, HoldsHandler
from api.handlers.operations import LivezHandler, OpenAPIHandler, ReadyzHandler
from api.handlers.purchases import PurchaseHandler, Purchases, PurchasesHandler
from api.handlers.ticket_options import (
    AvailabilityHandler,
    TicketOptionHandler,
    TicketOptions,
    TicketOptionsHandler,
)
from api.web.lane.server import HotRoute

_UUID = r"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
_OPTION = f"/ticket_options/{_UUID}"


class Resources(NamedTuple):
    """What the routes of both servers call."""

    options: TicketOptions
    purchases: Purchases
    holds: Holds


def make_resources(store: Store, public_url: str = "") -> Resources:
    """The resources, on a store."""
    return Resources(
        TicketOptions(store, public_url), Purchases(store, public_url), Holds(store, public_url)
    )


def make_app(resources: Resources, readiness: Readiness) -> Application:
    """The whole service: every path, and its handler.

    An id that is not a UUID identifies nothing, so its path matches no route.
    """
    options = {"resource": resources.options}
    purchases = {"resource": resources.purchases}
    holds = {"resource": resources.holds}
    return Application(
        [
            (r"/ticket_options", TicketOptionsHandler, options),
            (_OPTION, TicketOptionHandler, options),
            (rf"{_OPTION}/availability", AvailabilityHandler, options),
            (rf"{_OPTION}/purchases", PurchasesHandler, purchases),
            (rf"{_OPTION}/purchases/{_UUID}", PurchaseHandler, purchases),
            (rf"{_OPTION}/holds", HoldsHandler, holds),
            (rf"{_OPTION}/holds/{_UUID}", HoldHandler, holds),
            (rf"{_OPTION}/holds/{_UUID}/purchase", HoldPurchaseHandler, holds),
            (r"/livez", LivezHandler),
            (r"/readyz", ReadyzHandler, {"readiness": readiness}),
            (r"/openapi\.json", OpenAPIHandler),
        ],
        default_handler_class=NotFoundHandler,
        log_function=logs.log_handler,
        in_flight=0,
        is_draining=False,
    )


def hot_routes(resources: Resources) -> list[HotRoute]:
    """The routes that carry an on-sale. All of them are in the route table as well."""
    return [
        ("POST", _hot(rf"{_OPTION}/purchases"), resources.purchases.create),
        ("POST", _hot(rf"{_OPTION}/holds"), resources.holds.create),
        ("POST", _hot(rf"{_OPTION}/holds/{_UUID}/purchase"), resources.holds.purchase),
        ("GET", _hot(_OPTION), resources.options.read),
    ]


def _hot(path: str) -> re.Pattern[bytes]:
    return re.compile(rf"{path}(?:\?.*)?".encode(), re.DOTALL)
