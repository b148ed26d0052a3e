"""The sales to play: what is on offer, and how buyers arrive."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from loadtests.harness.connection import Connection
from loadtests.onsale.buyers import PURCHASE_ONLY, Habits
from loadtests.onsale.requests import JSON


class Offer(NamedTuple):
    """Ticket options of one kind.

    Attributes:
        options: how many there are.
        tickets_per_second: each option's tickets, per second that the sale lasts.
        share: the part of all visits that goes to these options, from 0 to 1.
    """

    options: int
    tickets_per_second: float
    share: float


class Sale(NamedTuple):
    """A sale.

    Attributes:
        offers: what is on sale; their shares add up to 1.
        seconds: how long it lasts.
        buyers: the maximum at a time.
        arrival: the part of the sale over which they arrive one by one; 0 if all come at once.
        pause_seconds: how long a place in the crowd stays empty between buyers, from and to.
        habits: what the buyers do beside purchasing.
    """

    offers: tuple[Offer, ...]
    seconds: float
    buyers: int
    arrival: float
    pause_seconds: tuple[float, float]
    habits: Habits = PURCHASE_ONLY

    def buyers_at(self, seconds: float) -> int | None:
        """The number of buyers that many seconds after the sale opened; None once it is over."""
        if seconds >= self.seconds:
            return None
        if not self.arrival:
            return self.buyers
        arrived = seconds / (self.arrival * self.seconds)
        return max(1, math.ceil(self.buyers * min(1.0, arrived)))

    def capacities(self) -> list[int]:
        """The tickets of each option, offer by offer."""
        return [
            max(1, round(offer.tickets_per_second * self.seconds))
            for offer in self.offers
            for _ in range(offer.options)
        ]

    def choose(self, option_ids: Sequence[str], random: Random) -> str:
        """Choose the option of the next visit; they are in the order of `capacities`."""
        [offer] = random.choices(range(len(self.offers)), [each.share for each in self.offers])
        first = sum(each.options for each in self.offers[:offer])
        return option_ids[first + random.randrange(self.offers[offer].options)]


SALES = {
    # Everybody at once, wanting far more than there is.
    "stampede": Sale(
        offers=(Offer(options=1, tickets_per_second=2000, share=1.0),),
        seconds=20,
        buyers=100,
        arrival=0,
        pause_seconds=(0, 0),
    ),
    # A steady stream that buys most of a large allocation.
    "steady": Sale(
        offers=(Offer(options=1, tickets_per_second=640, share=1.0),),
        seconds=25,
        buyers=60,
        arrival=0.3,
        pause_seconds=(0.2, 0.6),
    ),
    # A few that everybody wants, beside many that sell slowly.
    "events": Sale(
        offers=(
            Offer(options=4, tickets_per_second=200, share=0.5),
            Offer(options=96, tickets_per_second=60, share=0.5),
        ),
        seconds=20,
        buyers=80,
        arrival=0,
        pause_seconds=(0, 0.1),
    ),
    # Buyers who hold tickets and then pay, or not, for as many as come back again and again.
    "checkout": Sale(
        offers=(Offer(options=2, tickets_per_second=200, share=1.0),),
        seconds=20,
        buyers=80,
        arrival=0.2,
        pause_seconds=(0, 0.1),
        habits=Habits(hold=0.9, give_back=0.2, expires_in_seconds=(1, 3)),
    ),
}


def put_on_sale(sale: Sale, url: str) -> dict[str, int]:
    """Create the options of a sale.

    Returns:
        Each option's tickets by its id, in the order of `Sale.capacities`.

    Raises:
        RuntimeError: the service at the URL failed to create one.
    """
    connection = Connection(url)
    capacities = {}
    for number, capacity in enumerate(sale.capacities(), 1):
        new = {"name": f"On-sale {number}", "desc": "A load test's", "allocation": capacity}
        answer = connection.ask("POST", "/ticket_options", json.dumps(new).encode(), JSON)
        if answer.status != 201:
            raise RuntimeError(
                f"{url} did not create a ticket option: "
                + (f"it answered {answer.status}" if answer.status else "it did not answer")
            )
        capacities[str(json.loads(answer.body)["id"])] = capacity
    connection.close()
    return capacities
