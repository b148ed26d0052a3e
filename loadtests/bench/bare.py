"""A Tornado service that only parses the JSON and answers: the yardstick for the real one.

``python -m loadtests.bench.bare PORT PROCESSES``
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler


class Nothing(RequestHandler):
    """Answers 201 to any JSON, and a ticket option to a GET."""

    def post(self) -> None:
        json.loads(self.request.body)
        self.set_status(201)

    def get(self) -> None:
        self.write(
            {
                "id": "70b751fe-04dd-4dd1-8955-ab9b188ddb1f",
                "name": "example",
                "desc": "sample description",
                "allocation": 100,
            }
        )


async def serve(port: int) -> None:
    """Serve until SIGTERM."""
    server = HTTPServer(Application([(".*", Nothing)]))
    server.add_sockets(bind_sockets(port, "127.0.0.1", backlog=1024, reuse_port=True))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


def main() -> None:
    """Fork the processes; SIGTERM to the first one ends them all."""
    port, processes = int(sys.argv[1]), int(sys.argv[2])
    children: list[int] = []
    for _ in range(processes - 1):
        pid = os.fork()
        if pid == 0:
            children.clear()
            break
        children.append(pid)
    asyncio.run(serve(port))
    for pid in children:
        os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    main()
