"""A TCP proxy between the service and its database that cuts connections at chosen moments."""

from __future__ import annotations

import asyncio
import enum
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

CHUNK_BYTES = 64 * 1024


class Moment(enum.Enum):
    """When to cut a connection, relative to a call. The functions commit as they return."""

    BEFORE_CALL = "before the call reaches the database"
    IN_CALL = "while the database works on it"
    BEFORE_ANSWER = "after the commit, before the answer reaches the service"


class Proxy:
    """Forwards connections on a port of this machine to a PostgreSQL on a Unix socket.

    Runs in a thread of its own; call its methods from other threads.

    Attributes:
        port: where it listens.
        cuts: how many connections it has cut at the moment that `arm` was given.
    """

    def __init__(self, database_socket: str) -> None:
        self._database_socket = database_socket
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self.cuts = 0

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def connections(self) -> int:
        """The number of connections that it is forwarding."""
        return len(self._links)

    def arm(self, moment: Moment) -> int:
        """Cut every connection that is open now, each at this moment of its next call.

        Returns:
            The number of those connections.
        """

        async def arm() -> int:
            for link in self._links:
                link.cut_at = moment
            return len(self._links)

        return self._run(arm())

    def lead_to(self, database_socket: str) -> None:
        """Forward new connections to a different server; existing ones stay where they are."""
        self._database_socket = database_socket

    def cut_all(self) -> None:
        """Cut every connection at once, whatever it is doing."""

        async def cut_all() -> None:
            for link in list(self._links):
                link.cut()

        self._run(cut_all())

    def stall(self) -> None:
        """Silently stop forwarding."""
        self._run(self._set_flowing(False))

    def flow(self) -> None:
        """Resume forwarding, including what has arrived since `stall`."""
        self._run(self._set_flowing(True))

    async def _set_flowing(self, is_flowing: bool) -> None:
        for link in self._links:
            link.flowing.set() if is_flowing else link.flowing.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_unix_connection(self._database_socket)
        except OSError:
            writer.close()
            return
        link = _Link(self, (reader, writer), upstream)
        self._links.add(link)
        try:
            await link.forward()
        finally:
            self._links.discard(link)
            link.ended.set()

    async def _close(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.cut()
        await asyncio.gather(*(link.ended.wait() for link in self._links))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """A connection from the service, and its counterpart to the database."""

    def __init__(self, proxy: Proxy, service: Streams, database: Streams) -> None:
        self._proxy = proxy
        self._from_service, self._to_service = service
        self._from_database, self._to_database = database
        self.cut_at: Moment | None = None
        self.ended = asyncio.Event()
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def forward(self) -> None:
        """Forward in both directions until one side closes or the link is cut."""
        both = [
            asyncio.ensure_future(self._forward_calls()),
            asyncio.ensure_future(self._forward_answers()),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        self.cut()
        await asyncio.gather(*both, return_exceptions=True)

    def cut(self) -> None:
        """Abort both sides."""
        self.flowing.set()
        for writer in (self._to_service, self._to_database):
            writer.transport.abort()

    async def _forward_calls(self) -> None:
        while chunk := await self._from_service.read(CHUNK_BYTES):
            await self.flowing.wait()
            if self.cut_at is Moment.BEFORE_CALL:
                break
            self._to_database.write(chunk)
            await self._to_database.drain()
            if self.cut_at is Moment.IN_CALL:
                break
        self._count_cut()

    async def _forward_answers(self) -> None:
        while chunk := await self._from_database.read(CHUNK_BYTES):
            await self.flowing.wait()
            if self.cut_at is Moment.BEFORE_ANSWER:
                break
            self._to_service.write(chunk)
            await self._to_service.drain()
        self._count_cut()

    def _count_cut(self) -> None:
        if self.cut_at is not None:
            self.cut_at = None
            self._proxy.cuts += 1
