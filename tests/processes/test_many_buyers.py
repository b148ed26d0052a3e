from __future__ import annotations

import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from loadtests.harness import service
from loadtests.harness.postgres import connect, value
from tests.processes.conftest import Buyer

ALLOCATION = 1000


@pytest.mark.parametrize(
    "batching",
    [{}, {"BATCH_OPTIONS": "one"}, {"BATCH_SIZE": "1"}, {"BATCH_SIZE": "3"}],
    ids=["many options per call", "one option per call", "one purchase per call", "small calls"],
)
def test_many_buyers_over_http_and_psql_get_no_more_than_was_on_sale(
    database: str, batching: dict[str, str]
) -> None:
    """64 buyers over HTTP, on two workers, and 4 over SQL buy until they are refused."""
    with service.running(DATABASE_URL=database, WORKERS="2", **batching) as served:
        buyer = Buyer(served.port)
        sell_all(database, buyer)
        buyer.close()


def sell_all(database: str, buyer: Buyer) -> None:
    option = buyer.new_option(ALLOCATION)

    def buy_over_http(seed: int) -> int:
        random_quantity, sold = random.Random(seed), 0
        while True:
            quantity = random_quantity.randint(1, 5)
            answer = buyer.purchase(option, quantity)
            if answer.status == 409:
                return sold
            assert answer.status == 201
            sold += quantity

    def buy_over_sql(seed: int) -> int:
        random_quantity, sold = random.Random(seed), 0
        with connect(database, role="ticketing_operator") as operator:
            while True:
                quantity = random_quantity.randint(1, 5)
                arguments: tuple[Any, ...] = (option.rpartition("/")[2], uuid.uuid4(), quantity)
                try:
                    operator.execute("SELECT purchase_tickets(%s, %s, %s)", arguments)
                except psycopg.Error as refusal:
                    if refusal.sqlstate != "TK002":
                        raise
                    return sold
                sold += quantity

    with ThreadPoolExecutor(68) as threads:
        over_http = [threads.submit(buy_over_http, seed) for seed in range(64)]
        over_sql = [threads.submit(buy_over_sql, seed) for seed in range(64, 68)]
    sold = sum(one.result() for one in (*over_http, *over_sql))

    assert sold + buyer.left(option) == ALLOCATION
    with connect(database) as observer:
        assert value(observer, "SELECT sum(quantity) FROM ticketing.purchases") == sold
        assert value(observer, "SELECT count(*) FROM ticketing.audit_allocations()") == 0
