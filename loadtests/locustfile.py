"""An on-sale: many buyers, one option, and less to sell than they want.

The run fails unless the tickets sold are exactly the allocation: by what the buyers were answered
and by what the database holds. It ends by itself when everything is sold.

Environment:
    OPERATOR_DATABASE_URL: how to ask the database, as ticketing_operator.
    ALLOCATION: tickets on sale, 20000 if not set.
"""

from __future__ import annotations

import json
import os
import random
import urllib.request
import uuid
from typing import Any

import gevent
import psycopg
from locust import FastHttpUser, constant, events, task
from locust.env import Environment

ALLOCATION = int(os.environ.get("ALLOCATION", "20000"))


class Sale:
    """What the buyers know of the sale.

    Attributes:
        option: the path of the ticket option.
        acknowledged: tickets that buyers were told are theirs.
        unknown: purchases that nobody knows the outcome of; they make the run prove nothing.
    """

    def __init__(self, option: str) -> None:
        self.option = option
        self.acknowledged = 0
        self.unknown = 0
        self.is_sold_out = False


sale = Sale("")


class Buyer(FastHttpUser):
    """Takes 1 to 5 tickets at a time, and one when there are no more as many."""

    wait_time = constant(0)

    def on_start(self) -> None:
        self.user_id = str(uuid.uuid4())

    @task
    def purchase(self) -> None:
        """Take some tickets."""
        if not self._takes(random.randint(1, 5)) and not self._takes(1):
            if not sale.is_sold_out:
                sale.is_sold_out = True
                # Not from here: quitting waits for every buyer, this one too.
                gevent.spawn(self.environment.runner.quit)
            self.stop()

    @task
    def read(self) -> None:
        """Look at what is left."""
        with self.client.get(sale.option, name="GET option", catch_response=True) as answer:
            if answer.status_code != 200 or not 0 <= answer.json()["allocation"] <= ALLOCATION:
                answer.failure(f"read {answer.status_code} {answer.text}")

    def _takes(self, quantity: int) -> bool:
        with self.client.post(
            f"{sale.option}/purchases",
            json={"quantity": quantity, "user_id": self.user_id},
            name="POST purchase",
            catch_response=True,
        ) as answer:
            if answer.status_code == 201:
                sale.acknowledged += quantity
                return True
            if answer.status_code == 409 and answer.json()["code"] == "sold_out":
                answer.success()
                return False
            sale.unknown += 1
            answer.failure(f"purchase of {quantity}: {answer.status_code} {answer.text}")
            return True


@events.test_start.add_listener
def put_on_sale(environment: Environment, **_: Any) -> None:
    """Create the option, before the first buyer comes."""
    global sale
    new = {"name": "On-sale", "desc": "Everybody wants it", "allocation": ALLOCATION}
    request = urllib.request.Request(
        f"{environment.host}/ticket_options",
        json.dumps(new).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        sale = Sale(answer.headers["Location"])


@events.quitting.add_listener
def audit(environment: Environment, **_: Any) -> None:
    """Compare what was answered with what is stored; the exit code is the verdict."""
    environment.process_exit_code = 1
    if environment.runner is not None:
        environment.runner.stop()
    option_id = sale.option.rpartition("/")[2]
    with psycopg.connect(os.environ["OPERATOR_DATABASE_URL"]) as operator:
        [(left, stored)] = operator.execute(
            "SELECT allocation, (SELECT coalesce(sum(quantity), 0) FROM ticketing.purchases AS p "
            "WHERE p.ticket_option_id = o.id) FROM ticketing.ticket_options AS o WHERE id = %s",
            (option_id,),
        ).fetchall()
        wrong = operator.execute("SELECT * FROM ticketing.audit_allocations()").fetchall()

    print(
        f"allocation {ALLOCATION}, answered {sale.acknowledged} sold, stored {stored} sold, "
        f"{left} left, {sale.unknown} unknown, {len(wrong)} allocations wrong"
    )
    if (
        sale.is_sold_out
        and sale.acknowledged == stored == ALLOCATION
        and (left, sale.unknown, wrong) == (0, 0, [])
        and environment.stats.total.num_failures == 0
    ):
        print("Sold exactly the allocation.")
        environment.process_exit_code = 0
    else:
        print("FAILED: the tickets sold are not exactly the allocation, or a request failed.")
