"""Processes, sockets, signals and draining.

A parent holds the listening sockets and forks the workers; it serves nothing itself. A worker that
dies is replaced. When the parent gets SIGTERM or SIGINT, or dies, every worker drains: it accepts
no new connections, finishes the requests in flight, and exits.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence

import uvloop
from tornado.netutil import bind_sockets

from api.app import hot_routes, make_app, make_resources
from api.database.calls import Database
from api.database.readiness import Readiness
from api.database.store import Store
from api.database.sweep import keep_sweeping
from api.settings import Settings
from api.web.accepting import Acceptor, raise_descriptor_limit
from api.web.lane.server import Lane
from api.web.plain import PlainServer

logger = logging.getLogger(__name__)

Server = Lane | PlainServer

RESTART_PAUSE_SECONDS = 1.0
"""A worker that dies sooner than this after its start is replaced only after a pause this long."""

KILL_GRACE_SECONDS = 5.0
"""How long the parent waits beyond the drain timeout before it kills a worker."""

BACKLOG = 1024
"""Connections per worker that may wait to be accepted."""

DESCRIPTORS_RESERVED = 16
"""File descriptors kept from client connections, besides those of the pool: looking up the name of
the database, for one, needs some."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class PortTakenError(Exception):
    """The service cannot listen on the address; the message says why and what to do."""


def serve(settings: Settings, conninfo: str, when_listening: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; a second one kills the workers without waiting for answers.

    Leaves those signals blocked, so that they do not interrupt what the caller does next.

    Args:
        conninfo: how the workers connect to the database.
        when_listening: called once the port accepts connections.

    Raises:
        PortTakenError: nothing was started.
    """
    raise_descriptor_limit()
    listeners = _listen(settings)
    # Blocked, and waited for below, so that no signal is lost in between.
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOP_SIGNALS, signal.SIGCHLD))
    alive = os.pipe()
    slots: dict[int, int] = {}
    started_at: dict[int, float] = {}

    def start(slot: int) -> None:
        pid = _fork_worker(settings, conninfo, listeners, slot, alive)
        slots[pid], started_at[pid] = slot, time.monotonic()

    for slot in range(settings.workers):
        start(slot)
    when_listening()

    while signal.sigwait((*STOP_SIGNALS, signal.SIGCHLD)) == signal.SIGCHLD:
        for pid, status in _reap(slots):
            logger.error("worker %s died (%s); starting a new one", pid, _in_words(status))
            if time.monotonic() - started_at.pop(pid) < RESTART_PAUSE_SECONDS:
                time.sleep(RESTART_PAUSE_SECONDS)
            start(slots.pop(pid))

    logger.info("stopping; finishing the requests in flight")
    for listener in listeners:
        for each in listener:
            each.close()
    _stop(slots, settings.drain_timeout_seconds + KILL_GRACE_SECONDS)


def _listen(settings: Settings) -> list[list[socket.socket]]:
    """Sockets for each worker.

    Every worker has its own, on the same port (SO_REUSEPORT): the kernel then spreads connections
    evenly, which it does not if workers share a socket. The parent keeps the sockets open too, so
    connections that wait for a worker that died are accepted by its replacement.
    """

    def bind(reuse_port: bool) -> list[socket.socket]:
        return bind_sockets(settings.port, settings.host, backlog=BACKLOG, reuse_port=reuse_port)

    try:
        # Exclusively at first: another service on the same port must be noticed, not joined.
        for each in bind(reuse_port=False):
            each.close()
        return [bind(reuse_port=True) for _ in range(settings.workers)]
    except OSError as error:
        raise PortTakenError(
            f"cannot listen on {settings.host or 'any address'}, port {settings.port}: "
            f"{error.strerror}. Set PORT to use a different one."
        ) from error


def _fork_worker(
    settings: Settings,
    conninfo: str,
    listeners: Sequence[Sequence[socket.socket]],
    slot: int,
    alive: tuple[int, int],
) -> int:
    """Start a worker and return its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        alive_reader, alive_writer = alive
        os.close(alive_writer)
        for other in (*listeners[:slot], *listeners[slot + 1 :]):
            for each in other:
                each.close()
        uvloop.run(_work(settings, conninfo, listeners[slot], alive_reader))
        status = 0
    except BaseException:
        logger.exception("worker %s failed", os.getpid())
    finally:
        # Not sys.exit(): the parent's cleanup is not for the worker to do.
        logging.shutdown()
        os._exit(status)


async def _work(
    settings: Settings, conninfo: str, listener: Sequence[socket.socket], alive_reader: int
) -> None:
    """A worker, from its start to the end of draining."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(alive_reader, stop.set)  # the pipe ends when the parent dies
    # Ctrl-C reaches every process of the terminal, but the parent tells the workers when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*STOP_SIGNALS, signal.SIGCHLD))

    database = Database(
        conninfo,
        pool_size=settings.pool_size,
        max_waiting=settings.max_waiting,
        timeout_seconds=settings.request_timeout_seconds,
        answer_timeout_seconds=settings.answer_timeout_seconds,
    )
    await database.open()
    readiness = Readiness(database)
    store = Store(
        database,
        readiness.require,
        batch_size=settings.batch_size,
        batch_options=settings.batch_options,
        lock_timeout_seconds=settings.lock_timeout_seconds,
    )
    server = make_server(settings, store, readiness)
    acceptor = Acceptor(
        listener, server.accepted, reserve=settings.pool_size + DESCRIPTORS_RESERVED
    )
    background = [
        asyncio.create_task(readiness.wait_until_ready()),
        asyncio.create_task(keep_sweeping(store.sweep_expired_holds)),
    ]

    await stop.wait()
    loop.remove_reader(alive_reader)
    for task in background:
        task.cancel()
    readiness.is_stopping = True
    await acceptor.accept_all()
    acceptor.stop()
    if not await server.drain(settings.drain_timeout_seconds):
        logger.error("worker %s: %s requests unanswered", os.getpid(), server.in_flight)
    await server.close()
    await database.close()


def make_server(settings: Settings, store: Store, readiness: Readiness) -> Server:
    """The HTTP server of a worker: the fast lane, or Tornado's."""
    resources = make_resources(store, settings.public_url or "")
    application = make_app(resources, readiness)
    if settings.fast_lane == "off":
        return PlainServer(application)
    return Lane(application, hot_routes(resources))


def _reap(pids: Iterable[int]) -> list[tuple[int, int]]:
    """The workers that have exited, with their status."""
    ended = (os.waitpid(pid, os.WNOHANG) for pid in pids)
    return [(pid, status) for pid, status in ended if pid]


def _in_words(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _stop(slots: dict[int, int], timeout_seconds: float) -> None:
    """Have the workers drain, and kill those that have not exited in time."""
    deadline = time.monotonic() + timeout_seconds
    for pid in slots:
        os.kill(pid, signal.SIGTERM)
    while slots:
        left = max(0.0, deadline - time.monotonic())
        info = signal.sigtimedwait((*STOP_SIGNALS, signal.SIGCHLD), left)
        for pid, _ in _reap(slots):
            del slots[pid]
        if info is None or info.si_signo in STOP_SIGNALS:
            logger.error("killing %s workers that have not stopped in time", len(slots))
            for pid in slots:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            slots.clear()
