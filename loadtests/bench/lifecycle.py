"""Holds, purchases of holds, limits and long histories, beside purchases that use none of it."""

from __future__ import annotations

import sys
import time
import urllib.request
import uuid
from functools import partial
from pathlib import Path

from loadtests.bench.rig import PURCHASE, Bench, Target
from loadtests.harness import service
from loadtests.harness.service import Service

CONNECTIONS = 64
USERS = 20_000
HOLDS_PER_SECOND_MAX = 20_000
"""More holds than can be purchased in a second are made before, so that each is purchased once."""

SOLD_BEFORE = 5_000_000
EXPIRED_HOLDS = 100_000
FIRST_SALE = f"first sale after {EXPIRED_HOLDS} holds ran out"
SWEEP_LOCK = 7163880912
"""The lock of sweep_expired_holds.sql."""

DEEP_PAGE = 10_000
PAGE_ITEMS = 200


def measure(bench: Bench, rounds: int, settings: dict[str, str]) -> None:
    """Measure everything that this file is about."""
    with service.running(**settings) as served:
        bench.wrk(served.url, "POST", bench.new_options("lifecycle-warm-up", 1), 64, 3)
        measure_rounds(bench, rounds, served)
        measure_first_sale(bench, served)
        measure_sold_before(bench, rounds, served)


def measure_rounds(bench: Bench, rounds: int, served: Service) -> None:
    """Measure what takes tickets, in turns: purchases, with a limit, holds, purchases of holds."""
    unlimited, limited, held, paid = (
        bench.new_options(f"lifecycle-{name}", 1).read_text().strip()
        for name in ("unlimited", "limited", "held", "paid")
    )
    bench.superuser.execute(
        "SELECT ticketing.update_ticket_option(%s, '{\"max_per_user\": 1000000}')",
        (_id_of(limited),),
    )
    requests = {
        "purchases by many users": _of_many_users(bench, f"{unlimited}/purchases"),
        "purchases with max_per_user": _of_many_users(bench, f"{limited}/purchases"),
        "holds": _of_many_users(bench, f"{held}/holds"),
    }
    for _ in range(rounds):
        for name, file in requests.items():
            bench.round(name, partial(bench.send, served.url, file, CONNECTIONS, bench.seconds))
        file = _new_holds(bench, paid, HOLDS_PER_SECOND_MAX * bench.seconds)
        bench.round(
            "purchases of holds",
            partial(bench.send, served.url, file, CONNECTIONS, bench.seconds),
        )


def measure_first_sale(bench: Bench, served: Service) -> None:
    """Measure the first purchase of an option that is sold out but for holds that ran out."""
    path = bench.new_options("expired", 1).read_text().strip()
    option_id = _id_of(path)
    # Else the sweep would give the tickets back before the sale does.
    bench.superuser.execute("SELECT pg_advisory_lock(%s)", (SWEEP_LOCK,))
    with bench.superuser.transaction():
        bench.superuser.execute(
            "INSERT INTO ticketing_private.holds "
            "(ticket_option_id, id, user_id, quantity, created_at, expires_at) "
            "SELECT %s, gen_random_uuid(), gen_random_uuid(), 1, "
            "now() - interval '1 hour', now() - interval '1 minute' "
            "FROM generate_series(1, %s)",
            (option_id, EXPIRED_HOLDS),
        )
        bench.superuser.execute(
            "UPDATE ticketing_private.ticket_options "
            "SET capacity = %(holds)s, allocation = 0, held = %(holds)s WHERE id = %(option)s",
            {"holds": EXPIRED_HOLDS, "option": option_id},
        )
    purchase = urllib.request.Request(
        f"{served.url}{path}/purchases", PURCHASE.encode(), {"Content-Type": "application/json"}
    )
    began = time.perf_counter()
    urllib.request.urlopen(purchase, timeout=30).close()
    seconds = time.perf_counter() - began
    bench.superuser.execute("SELECT pg_advisory_unlock(%s)", (SWEEP_LOCK,))
    bench.note(FIRST_SALE, {"rate": 1 / seconds, "p50_ms": seconds * 1000})


def measure_sold_before(bench: Bench, rounds: int, served: Service) -> None:
    """Measure purchases of an option that has sold millions, and of a new one, in turns."""
    old, new = bench.new_options("old", 1), bench.new_options("new", 1)
    option_id = old.read_text().strip().rpartition("/")[2]
    print(f"selling {SOLD_BEFORE} purchases", file=sys.stderr, flush=True)
    with bench.superuser.transaction():
        bench.superuser.execute(
            "INSERT INTO ticketing_private.purchases (ticket_option_id, id, user_id, quantity) "
            "SELECT %s, gen_random_uuid(), gen_random_uuid(), 1 FROM generate_series(1, %s)",
            (option_id, SOLD_BEFORE),
        )
        bench.superuser.execute(
            "UPDATE ticketing_private.ticket_options SET allocation = allocation - %s "
            "WHERE id = %s",
            (SOLD_BEFORE, option_id),
        )
    bench.superuser.execute("CHECKPOINT")
    bench.superuser.execute("ANALYZE ticketing_private.purchases")
    measure_lists(bench, rounds, served, old.read_text().strip())
    for _ in range(rounds):
        for name, paths in (("sold before", old), ("nothing sold before", new)):
            arguments = (served.url, "POST", paths, 64, bench.seconds)
            bench.round(name, partial(bench.wrk, *arguments))


def measure_lists(bench: Bench, rounds: int, served: Service, path: str) -> None:
    """Measure the first page of an option's purchases, and one far into them, in turns."""
    row = bench.superuser.execute(
        "SELECT id FROM ticketing_private.purchases WHERE ticket_option_id = %s "
        "ORDER BY id OFFSET %s LIMIT 1",
        (_id_of(path), DEEP_PAGE * PAGE_ITEMS),
    ).fetchone()
    assert row is not None
    first = f"{path}/purchases?limit={PAGE_ITEMS}"
    for _ in range(rounds):
        for name, page in (("page 1", first), (f"page {DEEP_PAGE}", f"{first}&after={row[0]}")):
            file = bench.folder / "page"
            file.write_text(f"GET {page}\n")
            bench.round(name, partial(bench.send, served.url, file, 8, bench.seconds))


def targets(bench: Bench) -> list[Target]:
    """The targets of what else a ticket goes through."""

    def to_purchases(name: str) -> float:
        return bench.median(name) / bench.median("purchases by many users")

    return [
        (
            "purchases with max_per_user, to those without",
            to_purchases("purchases with max_per_user"),
            ">=",
            0.85,
        ),
        ("holds, to purchases", to_purchases("holds"), ">=", 0.9),
        ("purchases of holds, to purchases", to_purchases("purchases of holds"), ">=", 0.9),
        (f"{FIRST_SALE}, ms", bench.median(FIRST_SALE, "p50_ms"), "<=", 1000),
        (
            f"page {DEEP_PAGE} of a list, to page 1",
            bench.median(f"page {DEEP_PAGE}") / bench.median("page 1"),
            ">=",
            0.9,
        ),
    ]


def _id_of(path: str) -> str:
    return path.rpartition("/")[2]


def _of_many_users(bench: Bench, path: str) -> Path:
    file = bench.folder / f"{uuid.uuid4()}"
    file.write_text(
        "".join(
            f'POST {path} {{"quantity": 1, "user_id": "{uuid.uuid4()}"}}\n' for _ in range(USERS)
        )
    )
    return file


def _new_holds(bench: Bench, path: str, holds: int) -> Path:
    ids = [uuid.uuid4() for _ in range(holds)]
    bench.superuser.execute(
        "SELECT FROM ticketing.try_hold_tickets(%(option)s, %(ids)s::uuid[], %(ids)s::uuid[], "
        "%(ones)s::integer[], %(seconds)s::integer[], 1000)",
        {"option": _id_of(path), "ids": ids, "ones": [1] * holds, "seconds": [3600] * holds},
    )
    file = bench.folder / "holds"
    file.write_text("".join(f"POST {path}/holds/{each}/purchase\n" for each in ids))
    return file
