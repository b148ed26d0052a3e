"""The faults, by name. A fault is over when its function returns."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from random import Random
from typing import NamedTuple

import psycopg

from db.embedded import DATABASE
from loadtests.faults import standby
from loadtests.faults.disk import filled
from loadtests.faults.load import Load
from loadtests.faults.proxy import Moment
from loadtests.faults.rig import POOL_SIZE, SERVICE, WORKERS, Rig
from loadtests.harness.service import wait_for
from loadtests.proof.ledger import Ledger

DESCRIPTORS_MIN = 3
"""The lowest limit: descriptors that are already open stay usable."""

NEWCOMERS = 8
"""Clients that connect while there is no file descriptor for them."""
OTHERS_SECONDS_MAX = 1.5
"""How long a request may take while options other than its own are locked."""


class Sale(NamedTuple):
    """What is on sale while a fault happens.

    Attributes:
        hot: the option that most buyers want.
        deleted: an option that an operator may delete, with everything sold of it.
    """

    hot: str
    deleted: str
    ledger: Ledger


class Fault(NamedTuple):
    """A kind of fault.

    Attributes:
        happen: makes it happen, and returns when it is over.
        is_unnoticed: whether buyers get the same answers as without it, only later.
    """

    happen: Callable[[Rig, Sale, Random], None]
    is_unnoticed: bool


def _kill_backend(rig: Rig, _: Sale, random: Random) -> None:
    """PostgreSQL treats the death of a backend as a crash: it ends all others and recovers."""
    with rig.connect() as observer:
        pids = observer.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s ORDER BY pid", (SERVICE,)
        ).fetchall()
    with suppress(ProcessLookupError):
        os.kill(random.choice(pids)[0], signal.SIGKILL)


def _kill_database(rig: Rig, _: Sale, random: Random) -> None:
    rig.database.kill()
    time.sleep(random.uniform(0, 3))
    rig.database.start()


def _pause_database(rig: Rig, _: Sale, random: Random) -> None:
    rig.database.pause()
    time.sleep(random.uniform(1, 5))
    rig.database.resume()


def _terminate_backends(rig: Rig, _: Sale, __: Random) -> None:
    with rig.connect() as observer:
        observer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            (SERVICE,),
        )


def _kill_worker(rig: Rig, _: Sale, random: Random) -> None:
    killed = random.choice(rig.service.workers())
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in rig.service.workers(), "the worker to be replaced")


def _kill_service(rig: Rig, _: Sale, random: Random) -> None:
    rig.kill_service()


def _restart_service(rig: Rig, _: Sale, random: Random) -> None:
    rig.restart_service()


def _cut(moment: Moment) -> Callable[[Rig, Sale, Random], None]:
    def cut(rig: Rig, _: Sale, random: Random) -> None:
        before = rig.proxy.cuts
        rig.proxy.arm(moment)
        wait_for(lambda: rig.proxy.cuts > before, f"a connection to be cut {moment.value}")

    return cut


def _cut_all(rig: Rig, _: Sale, random: Random) -> None:
    rig.proxy.cut_all()


def _stall_network(rig: Rig, _: Sale, random: Random) -> None:
    rig.proxy.stall()
    time.sleep(random.uniform(0.5, 4.5))
    rig.proxy.flow()


def _run_pool_dry(rig: Rig, _: Sale, random: Random) -> None:
    """All connections wait for a table, for less than the lock timeout, while more calls arrive."""
    calls = 4 * WORKERS * POOL_SIZE
    with ThreadPoolExecutor(calls) as threads, rig.connect() as locker, locker.transaction():
        locker.execute("LOCK TABLE ticketing_private.ticket_options")
        # Calls that create a ticket option do not share connections.
        created = [threads.submit(rig.new_option, 1) for _ in range(calls)]
        rig.wait_until_blocked(WORKERS * POOL_SIZE)
        time.sleep(random.uniform(0, 1))
    for each in created:
        each.result()


def _hold_lock(rig: Rig, sale: Sale, random: Random) -> None:
    """An option is locked for longer than the lock timeout."""
    with rig.connect() as locker, locker.transaction():
        locker.execute(
            "SELECT FROM ticketing_private.ticket_options WHERE id = %s FOR UPDATE", (sale.hot,)
        )
        time.sleep(random.uniform(2.2, 5))


def _hold_locks(rig: Rig, sale: Sale, random: Random) -> None:
    """More options are locked than the service has connections, for longer than the lock timeout.

    All of them stay in demand, and so do others, whose buyers must not notice.
    """
    held = [rig.new_option(1_000_000) for _ in range(WORKERS * POOL_SIZE)]
    others = [rig.new_option(1_000_000) for _ in range(4)]
    sale.ledger.capacities.update(dict.fromkeys((*held, *others), 1_000_000))
    seed = random.randrange(1_000_000)
    noticed = Ledger()
    noticed.capacities = dict.fromkeys(others, 1_000_000)
    with rig.connect() as locker, locker.transaction():
        locker.execute(
            "SELECT FROM ticketing_private.ticket_options WHERE id = ANY (%s::uuid[]) FOR UPDATE",
            ([sale.hot, *held],),
        )
        waiting = Load(rig.service.url, sale.ledger, held, buyers=2 * len(held), seed=seed)
        selling = Load(rig.service.url, noticed, others, buyers=8, seed=seed + 1)
        time.sleep(random.uniform(2.2, 5))
        selling.stop()
    waiting.stop()
    for each in noticed.entries:
        assert each.outcome != "unknown", f"not answered although its option was free: {each}"
        assert each.answered_at - each.sent_at < OTHERS_SECONDS_MAX, f"it took too long: {each}"
    assert any(each.status == 201 for each in noticed.entries)
    for each in noticed.entries:
        sale.ledger.entries.append(each)


def _delete_option(rig: Rig, sale: Sale, random: Random) -> None:
    sale.ledger.deleted.add(sale.deleted)
    with rig.connect() as operator, operator.transaction():
        operator.execute(
            "SELECT FROM ticketing_private.ticket_options WHERE id = %s FOR UPDATE",
            (sale.deleted,),
        )
        for table in ("returns", "purchases", "holds", "capacity_changes", "refused_resends"):
            operator.execute(
                f"DELETE FROM ticketing_private.{table} WHERE ticket_option_id = %s".encode(),
                (sale.deleted,),
            )
        operator.execute(
            "DELETE FROM ticketing_private.ticket_options WHERE id = %s", (sale.deleted,)
        )


def _replace_functions(rig: Rig, _: Sale, random: Random) -> None:
    rig.install_next_release()


def _run_out_of_descriptors(rig: Rig, sale: Sale, random: Random) -> None:
    """No process of the service can open a connection, be it to a client or to the database."""
    request = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    workers = rig.service.workers()
    limits = [resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in workers]
    with ExitStack() as stack:
        for pid, (_, hard) in zip(workers, limits, strict=True):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (DESCRIPTORS_MIN, hard))
        newcomers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", rig.service.port), 15))
            for _ in range(NEWCOMERS)
        ]
        for each in newcomers:
            each.sendall(request)
        if random.random() < 0.5:
            _terminate_backends(rig, sale, random)
        time.sleep(random.uniform(0.5, 3))
        for pid, limit in zip(workers, limits, strict=True):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
        for each in newcomers:
            assert each.recv(1024).startswith(b"HTTP/1.1 200 "), "a newcomer got no answer"


def _read_only(rig: Rig, _: Sale, random: Random) -> None:
    """Sessions are read-only: new ones or, after ALTER SYSTEM, existing ones as well."""
    target = random.choice([f"DATABASE {DATABASE}", "ROLE ticketing_service", "SYSTEM"])
    with rig.connect() as operator:
        operator.execute("SET default_transaction_read_only = off")  # for this session only
        operator.execute(f"ALTER {target} SET default_transaction_read_only = on".encode())
        operator.execute("SELECT pg_reload_conf()")
        if target != "SYSTEM":
            _terminate_backends(rig, _, random)
        time.sleep(random.uniform(0.5, 3))
        operator.execute(f"ALTER {target} RESET default_transaction_read_only".encode())
        operator.execute("SELECT pg_reload_conf()")


def _change_defaults(rig: Rig, _: Sale, random: Random) -> None:
    """New sessions begin with different settings, and later with the old ones again."""
    target = random.choice([f"DATABASE {DATABASE}", "ROLE ticketing_service"])
    with rig.connect() as operator:
        for setting in (
            "datestyle = German, DMY",
            "timezone = 'Asia/Kathmandu'",
            "client_encoding = 'SQL_ASCII'",
            "default_transaction_isolation = 'serializable'",
            "standard_conforming_strings = off",
            "synchronous_commit = off",
            "search_path = nowhere",
        ):
            operator.execute(f"ALTER {target} SET {setting}".encode())
        _terminate_backends(rig, _, random)
        time.sleep(random.uniform(0.5, 1))
        operator.execute(f"ALTER {target} RESET ALL".encode())
        _terminate_backends(rig, _, random)


def _fail_over(rig: Rig, _: Sale, random: Random) -> None:
    """For a while the address still leads to the old primary, which is a standby by then."""
    assert rig.standby is not None
    rig.database, rig.standby = rig.standby, rig.database
    standby.change_places(rig.standby, rig.database)
    time.sleep(random.uniform(1, 3))
    rig.proxy.lead_to(rig.database.socket)


def _fill_disk(rig: Rig, _: Sale, random: Random) -> None:
    """No room for data, and sometimes none for the WAL either, which ends the server."""
    with filled(rig.folder):
        if random.random() < 0.5:
            with rig.connect() as operator, suppress(psycopg.Error):
                operator.execute("SELECT pg_switch_wal()")
        time.sleep(random.uniform(0.5, 2))
    if not rig.database.is_running():
        rig.database.start()


FAULTS = {
    "a database backend is killed": Fault(_kill_backend, is_unnoticed=True),
    "the database's backends are terminated": Fault(_terminate_backends, is_unnoticed=True),
    "the database server is killed and restarted": Fault(_kill_database, is_unnoticed=True),
    "the database server is frozen for a while": Fault(_pause_database, is_unnoticed=True),
    "a service process is killed": Fault(_kill_worker, is_unnoticed=False),
    "the whole service is killed and started again": Fault(_kill_service, is_unnoticed=False),
    "the service is restarted": Fault(_restart_service, is_unnoticed=True),
    "connections are cut before a call": Fault(_cut(Moment.BEFORE_CALL), is_unnoticed=True),
    "connections are cut during a call": Fault(_cut(Moment.IN_CALL), is_unnoticed=True),
    "connections are cut after the commit": Fault(_cut(Moment.BEFORE_ANSWER), is_unnoticed=True),
    "all connections are cut at once": Fault(_cut_all, is_unnoticed=True),
    "the network stalls": Fault(_stall_network, is_unnoticed=True),
    "the pool runs dry": Fault(_run_pool_dry, is_unnoticed=True),
    "a lock is held for too long": Fault(_hold_lock, is_unnoticed=False),
    "many options are locked for too long": Fault(_hold_locks, is_unnoticed=False),
    "an option is deleted": Fault(_delete_option, is_unnoticed=True),
    "the functions are replaced": Fault(_replace_functions, is_unnoticed=True),
    "no file descriptor is left": Fault(_run_out_of_descriptors, is_unnoticed=True),
    "the database is read-only for a while": Fault(_read_only, is_unnoticed=True),
    "session defaults change mid-sale": Fault(_change_defaults, is_unnoticed=True),
}

DISK_FAULTS = {
    "the disk is full": Fault(_fill_disk, is_unnoticed=False),
}
"""These need a rig on a small disk of its own."""

STANDBY_FAULTS = {
    "the primary fails over to a standby": Fault(_fail_over, is_unnoticed=True),
}
"""These need a rig with a standby."""

ALL_FAULTS = FAULTS | DISK_FAULTS | STANDBY_FAULTS
